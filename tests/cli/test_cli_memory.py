"""`minilocal memory`: its tables, what it leaves behind, and what it refuses."""

from __future__ import annotations

import json

import pytest

import minilocal.memory as memory_package
from minilocal import cli
from minilocal.cli import memory as command
from minilocal.device import DeviceNotFound
from minilocal.memory import by_rule

SMALL = ["--net", "resnet8", "--modules", "2,4", "--batch-size", "8"]


@pytest.fixture
def memory(capsys, tmp_path, monkeypatch):
    """`minilocal memory WORDS` in an empty folder: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        status = cli.main(["memory", *words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


@pytest.mark.parametrize("by", ["flops", "memory"])
def test_modules_of_equal_cost(memory, tmp_path, by):
    words = ("--net", "resnet14", "--modules", "3", "--batch-size", "8", "--length", "2")
    status, out, err = memory(*words, "--balance", by)
    cut = {"flops": "3, 2, 2", "memory": "2, 2, 3"}[by]
    assert status == 0 and err == "" and f"3 modules of {cut} units, balanced by {by}" in out
    status, out, err = memory(*words, "--balance", "tiem")
    assert status == 2 and out == "" and "did you mean 'time'?" in err and err.count("\n") == 1


def test_a_table_for_each_number_of_modules_and_a_figure(memory, tmp_path):
    status, out, err = memory("--net", "resnet14", "--modules", "2,3", "--batch-size", "8", "--length", "1,2")
    assert status == 0 and err == ""
    for text in ("2 modules of 4, 3 units", "3 modules of 3, 2, 2 units", "BackLink, l = 2", "checkpointed at"):
        assert text in out
    assert "a third more work" in out and "modules need not wait" in out
    assert "paper" not in out  # its numbers are of another network
    metadata = json.loads((tmp_path / "runs/memory/memory.json").read_text())
    table = metadata["modules"]["3"]
    assert table["BP"]["of BP"] == 1 and table["GLL"]["over GLL"] == 0
    assert table["BP, checkpointed"]["step"] < table["BP"]["step"] and "numpy" in metadata["environment"]["packages"]
    for row in table.values():
        parts = sum(row[part] for part in ("activations", "auxiliary", "gradients", "workspace"))
        assert row["step"] == pytest.approx(parts)
        lasting = sum(row[part] for part in ("parameters", "statistics", "optimizer", "scratch"))
        assert row["total"] == pytest.approx(row["step"] + lasting)
    mean = 0.8 * table["GLL"]["step"] + 0.2 * table["PGL, at its peak"]["step"]
    assert table["PGL, on average"]["step"] == pytest.approx(mean)
    assert (tmp_path / "runs/memory/live.svg").read_text().lstrip().startswith("<?xml")


def test_lengths_that_fit_no_module_are_left_out_and_a_summary_goes_over_k(memory):
    status, out, err = memory("--net", "resnet14", "--modules", "2,7", "--batch-size", "8", "--length", "1,3,5")
    assert status == 0 and err == ""
    summary = out[out.index("over GLL, in all") : out.index("step        the most")].splitlines()
    assert summary[0].split("  ")[-1].strip() == "K = 7" and "BackLink, l = 5" not in out
    rows = {line.partition("   ")[0].strip(): line.count("%") for line in summary[1:] if line}
    assert rows["BackLink, l = 1"] == rows["BackLink, l = 1, inputs kept"] == rows["InfoPro"] == 2
    assert rows["BackLink, l = 3"] == rows["BackLink, l = 3, inputs kept"] == 1  # seven modules are of one unit
    table = out[out.index("7 modules") :]
    assert "BackLink, l = 1" in table and "+0.0 %" in table and "-0.0 %" not in table


@pytest.mark.parametrize("words, says", [
    (["--net", "resnet14"], ["BackLink with l = 1 takes", "% less than BP in all", "checkpointed at the same"]),
    (["--net", "mlp"], ["% more than BP in all", "takes as much as BP, for one more forward"]),
])  # fmt: skip
def test_the_sentence_is_right_for_less_and_for_more_memory(memory, words, says):
    _, out, _ = memory(*words, "--modules", "2", "--batch-size", "8")
    assert all(text in out for text in says) and "-" not in out[out.index("At K = 2") :].partition(". ")[0]


@pytest.mark.parametrize("share, says", [
    (0.8, "20 % less than"), (1.05, "5 % more than"), (1.004, "as much as"), (0.996, "as much as"),
])  # fmt: skip
def test_a_share_in_words(share, says):
    assert command._beside(share) == says


def test_the_total_error_stands_where_it_is_another_one_and_takes_what_bp_takes(memory):
    words = ["--net", "resnet8", "--batch-size", "8"]
    assert "l = 1, total error" not in memory(*words, "--modules", "2")[1]
    status, out, _ = memory(*words, "--modules", "4", "--measure", "8")  # modules of one unit, linked to their first
    assert status == 0
    (row,) = [line for line in out.splitlines() if line.startswith("BackLink, l = 1, total error  ")][:1]
    assert float(row.removeprefix("BackLink, l = 1, total error").split()[1]) >= 1  # of BP
    assert "BackLink with l = 1 then takes " in out


def test_no_row_of_infopro_where_it_is_not_defined(memory):
    assert "\nInfoPro" not in memory("--net", "mlp", "--modules", "2", "--batch-size", "8")[1].partition("step   ")[0]


def test_the_papers_overhead_stands_beside_both_ways_to_keep(memory):
    _, out, _ = memory("--net", "resnet32", "--modules", "16", "--batch-size", "2")
    assert "at most 23 % more than GLL. Here, in all: at most " in out and 'with keep="inputs" at most ' in out


def test_measured_steps_stand_beside_the_predicted(memory):
    status, out, _ = memory("--net", "resnet8", "--modules", "2", "--batch-size", "8", "--measure", "32", "--out", "m")
    rows = [line for line in out.splitlines() if line.startswith(("BP", "GLL", "BackLink", "InfoPro  ", "PGL,"))][:-1]
    assert status == 0 and len(rows) == 10 and all(row.endswith(" %") for row in rows)
    assert "The largest difference between measured and predicted is " in out and "everything is in m" in out


def test_a_prediction_that_is_off_is_told_by_the_status(memory, monkeypatch):
    honest = memory_package.profile

    def more(learner, x, y):
        ballast = honest(learner, x, y)
        object.__setattr__(ballast, "workspace", ballast.workspace + ballast.step // 10)
        return ballast

    monkeypatch.setattr(memory_package, "profile", more)
    assert memory("--net", "resnet8", "--modules", "2", "--batch-size", "8", "--measure", "8")[0] == 1


def test_pythons_own_objects_are_no_error_of_the_estimate():
    """Three per cent of a step, and 16 kB for each of four units."""
    for missing, is_close in ((0, True), (90_000, True), (100_000, False), (-90_000, True), (-100_000, False)):
        row = {"measured": {"step": 1_000_000}, "predicted": {"step": 1_000_000 - missing}}
        assert command._is_close({2: {"BP": row}}, 4) == is_close


def test_what_does_not_fit_is_not_measured(memory, monkeypatch):
    monkeypatch.setattr(by_rule, "free", lambda device: 0)
    status, out, _ = memory("--net", "resnet8", "--modules", "2", "--batch-size", "8", "--measure", "8")
    assert status == 0 and "too large" in out and "No step fits into this memory" in out


def test_a_gpu_that_is_not_here_can_be_predicted_for_and_not_measured(memory, monkeypatch):
    monkeypatch.setattr("minilocal.device._cupy", lambda device: (_ for _ in ()).throw(DeviceNotFound("no GPU here")))
    status, out, _ = memory("--net", "resnet8", "--modules", "2", "--batch-size", "8", "--device", "cuda")
    assert status == 0 and "on a GPU" in out
    status, _, err = memory(*SMALL, "--device", "cuda", "--measure")
    assert status == 2 and "no GPU here" in err


@pytest.mark.parametrize("words, says", [
    (["--net", "resnt8"], "is not known"), (["--net", "resnet8", "--modules", "5"], "K = 5 modules for a network of 4"),
    (["--modules", "2,x"], "--modules '2,x': give whole numbers"), (["--length", "0"], "--length '0'"),
    (["--length", "²"], "--length '²'"), (["--modules", ","], "--modules ',' names nothing"),
    (["--aux", "9c9f"], "'9c9f' is not known"), (["--batch-size", "0"], "--batch-size 0: give"),
    (["--batch-size", "many"], "'many': give a whole number"), (["--measure", "-3"], "--measure -3: give"),
    (["--device", "gpu"], "device 'gpu' is not known"), (["--devise", "cpu"], "did you mean '--device'"),
])  # fmt: skip
def test_what_it_refuses_is_one_line(memory, words, says):
    status, _, err = memory(*words)
    assert status == 2 and says in err and err.count("\n") == 1
