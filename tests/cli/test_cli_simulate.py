"""`minilocal simulate`: its table, its files, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from minilocal import cli
from minilocal.parallel.simulate import PartCosts, measure

SMALL = ["--net", "resnet8", "--batch-size", "4", "--modules", "2"]


@pytest.fixture
def simulate(capsys, tmp_path, monkeypatch):
    """`minilocal simulate WORDS` in an empty folder, where each part costs one second: (status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    seconds = PartCosts(1.0, 2.0, 1.0, 0.0, 10**6, 10**6, 10**5)
    monkeypatch.setattr(measure.Measure, "timed", lambda self, *part: seconds)

    def call(*words):
        status = cli.main(["simulate", *words])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_a_row_for_each_rule_and_number_of_modules(simulate, tmp_path):
    status, out, err = simulate(*SMALL[:-1], "2,4", "--bandwidth", "1e9", "--latency", "0")
    assert status == 0 and err == ""
    rows = {tuple(line.split()[:3]): line for line in out.splitlines() if line[:1].isdigit()}
    assert len(rows) == 10
    # four units and the head: 5 forwards, 4 backwards and one for the weights alone
    assert "BP on one device: 14.00 s a step" in out
    assert "14.00 s" in rows["2", "2", "BP"] and "100.0 %" in rows["2", "2", "BP"] and "2.0 MB" in rows["2", "2", "BP"]
    # two modules of two units and a head; the lower one saves an error
    assert "8.00 s" in rows["2", "2", "GLL"] and "57.2 %" in rows["2", "2", "GLL"] and "1.75" in rows["2", "2", "GLL"]
    assert "printed" not in out.partition("\n\n")[2].splitlines()[0]
    assert not list(tmp_path.iterdir())


def test_costs_are_kept_and_read_again_and_all_numbers_are_written(simulate, tmp_path, monkeypatch):
    words = [*SMALL, "--rule", "backlink:length=1,aux=0c1f", "--costs", "c.json"]
    assert simulate(*words, "--json", "rows.json", "--gantt", "steps.svg")[0] == 0
    document = json.loads((tmp_path / "rows.json").read_text())
    (row,) = document["rows"]
    assert row["rule"] == "BackLink, length 1, aux 0c1f" and row["of_bp"] == row["step"] / document["bp"]
    assert len(row["idle"]) == len(row["memory"]) == 2 and document["asked"]["net"] == "resnet8"
    assert "device 2" in (tmp_path / "steps.svg").read_text()
    monkeypatch.setattr(measure.Measure, "timed", lambda self, *part: pytest.fail("it was measured again"))
    assert simulate(*words, "--rule", "ddg", "--rule", "fdg")[0] == 0
    status, out, _ = simulate(*words, "--scale", "0.5", "--processes", "1", "--gantt", "steps.png")
    assert status == 0 and "BP on one device: 7.00 s" in out
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")


def test_a_rule_with_global_epochs_is_averaged_over_its_period(simulate):
    words = [*SMALL, "--latency", "0", "--bandwidth", "1e30"]
    steps = {}
    for rule in ("gll", "pgl:duration=0", "pgl:duration=2", "pgl:duration=10"):
        simulate(*words, "--rule", rule, "--json", "rows.json")
        steps[rule] = json.loads(Path("rows.json").read_text())["rows"][0]["step"]
    assert steps["gll"] == steps["pgl:duration=0"]
    assert steps["pgl:duration=10"] == pytest.approx(14.0)  # the auxiliary network works while module 1 waits
    mean = 0.8 * steps["gll"] + 0.2 * steps["pgl:duration=10"]
    assert steps["pgl:duration=2"] == pytest.approx(mean)


def test_the_papers_times_stand_beside(simulate):
    words = ["--batch-size", "1", "--modules", "4"]
    out = simulate("--net", "resnet56", "--rule", "fdg", "--rule", "ddg", *words)[1]
    fdg, ddg = (line for line in out.splitlines() if line.startswith("4"))
    assert fdg.endswith("44.32 %") and not ddg.endswith("%")
    out = simulate("--net", "resnet110", "--rule", "gll", "--rule", "backlink", *words)[1]
    assert "  GLL on P100s: at most 53 % less than BP\n" in out
    assert "  GLL: at most 7" in out and "  BackLink: more than GLL by 7 % at K = 4" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--modules", "2,x"], "--modules '2,x': give whole numbers"),
        (["--modules", "9"], "resnet8 has 4 units"),
        (["--processes", "3"], "3 processes for 2 modules"),
        (["--processes", "0"], "--processes = 0: give a whole number"),
        (["--batch-size", "0"], "--batch-size = 0"),
        (["--bandwidth", "0"], "bandwidth 0.0 is outside"),
        (["--latency", "-1"], "latency -1.0 is outside"),
        (["--ahead", "-1"], "ahead = -1"),
        (["--scale", "0"], "--scale 0.0 is outside"),
        (["--rule", "backlnk"], "did you mean 'backlink'?"),
        (["--rule", "backlink:depth=2"], "has no option 'depth'"),
        (["--balance", "tim"], "did you mean 'time'?"),
        (["--gantt", "steps.pdf"], "give a name that ends in .svg or .png"),
        (["--json", "no/rows.json"], "there is no folder no"),
        (["--net", "resnet9"], "the nearest is ResNet-8"),
    ],
)
def test_what_cannot_be_is_one_line(simulate, words, message):
    status, out, err = simulate(*SMALL, *words)
    assert status == 2 and out == "" and message in err and err.count("\n") == 1


@pytest.mark.parametrize("by", ["time", "flops", "memory"])
def test_balanced_modules(simulate, by):
    out = simulate(*SMALL[:-1], "3", "--rule", "gll", "--balance", by, "--json", "rows.json")[1]
    assert "8.00 s" in out if by == "time" else "GLL" in out  # a module of two units, whichever it is
