"""`minilocal bench`: what it writes, and what it refuses in one line."""

from __future__ import annotations

import json

import pytest

from minilocal import cli
from minilocal.bench import harness
from minilocal.cli import bench as command


def call(capsys, *words):
    status = cli.main(["bench", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_it_prints_and_writes_what_it_measured(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("minilocal.bench.torch_learner.available", lambda: False)
    monkeypatch.setattr(harness, "available", lambda: False)
    out = tmp_path / "deep" / "b.json"
    words = ["--quick", "--what", "steps", "--net", "mlp", "--batch-size", 4, "--modules", 2, "--rounds", 1]
    status, printed, _ = call(capsys, *words, "--threads", 1, "--out", out)
    assert status == 0 and "pip install -e '.[bench]'" in printed and "backlink l=1" in printed
    results = json.loads(out.read_text())
    assert results["environment"]["python"] and len(results["steps"]) == 4 and results["plan"]["batches"] == [4]
    assert "## Steps" in out.with_suffix(".md").read_text()


def test_quick_is_small_unless_a_size_is_given():
    def asked(*words):
        plan = command.plan_of(command.parser().parse(words))
        return plan.nets, plan.batches, plan.rounds

    assert asked() == (("resnet32",), (128,), 7)
    assert asked("--quick") == (("resnet8",), (16,), 3)
    assert asked("--quick", "--net", "mlp", "--batch-size", "4", "--rounds", "9") == (("mlp",), (4,), 9)


def test_a_workload_that_failed_is_the_exit_status(capsys, tmp_path, monkeypatch):
    row = {"comparison": "c", "what": "bp", "label": "minilocal", "failed": "no memory"}
    monkeypatch.setattr(
        harness, "run", lambda plan, **callbacks: {"steps": [{**row, "net": "mlp", "engine": "minilocal"} | LIKE]}
    )
    status, printed, _ = call(capsys, "--net", "mlp", "--out", tmp_path / "b.json")
    assert status == 1 and "no memory" in printed


LIKE = {"layout": "nchw", "tf32": False, "batch": 1, "rule": "bp"}


@pytest.mark.parametrize("words, says", [
    (["--net", "resnt8"], "did you mean 'resnet8'"), (["--net", "mlp", "--modules", "20"], "mlp, K = 20"),
    (["--threads", "x"], "whole numbers"), (["--threads", "0"], "1 or more"), (["--what", "stps"], "'steps'"),
    (["--rule", "dgl"], "bp, gll, backlink"), (["--out", "x"], ".json"), (["--lenth", "3"], "'--length'"),
    (["--keep", "weights"], "caches, inputs"), (["--balance", "tiem"], "did you mean 'time'?"),
    (["--rounds", "0"], "--rounds 0"), (["--net", ","], "names nothing"), (["--batch-size", "1.5"], "whole numbers"),
    (["--device", "tpu"], "device 'tpu'"), (["--out", "/proc/no/x.json"], "No such file"),
])  # fmt: skip
def test_what_it_refuses_is_one_line(capsys, words, says):
    status, out, err = call(capsys, *words)
    assert status == 2 and says in err and err.count("\n") == 1 and out == ""
