"""docs/benchmarks/gpu_check.py, on the CPU and quickly: what it writes, and that a failure is its exit status."""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import pytest

import minilocal
from minilocal.bench.worker import Worker, WorkerError

SCRIPT = Path(minilocal.__file__).parents[1] / "docs" / "benchmarks" / "gpu_check.py"


@pytest.fixture
def check(monkeypatch):
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "KINDS", ("losses", "data"))
    monkeypatch.setattr(module, "TRAINED", ("backlink",))
    return module


def run(check, tmp_path, *words):
    status = check.main([*words, "--device", "cpu", "--quick", "--epochs", "1", "--out", str(tmp_path)])
    (written,) = tmp_path.glob("gpu-*.json")
    return status, json.loads(written.read_text()), written.with_suffix(".md").read_text()


def test_parity_is_written_with_an_epoch_of_training(check, tmp_path, capsys):
    status, results, page = run(check, tmp_path, "parity")
    assert status == 0, capsys.readouterr().out
    assert all(row["passed"] for row in results["parity"]["rows"]) and len(results["parity"]["rows"]) == 15
    (epoch,) = results["parity"]["training"][0]["rows"]
    assert 0 <= epoch["test_error"] <= 100 and epoch["seconds"] > 0
    assert "Everything passed" in page and "cross entropy, float32" in page and "| digits" in page
    assert "everything passed" in capsys.readouterr().out


def test_both_parts_of_a_day_are_one_file_and_a_failure_is_told(check, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(check, "available", lambda: False)
    ask_worker = Worker.ask

    def ask(self, function, **arguments):
        if function.endswith(":train") or (function.endswith(":setup") and arguments["workload"].what == "gll"):
            raise WorkerError("the device fell off")
        return ask_worker(self, function, **arguments)

    monkeypatch.setattr(Worker, "ask", ask)
    assert run(check, tmp_path, "parity")[0] == 1
    status, results, page = run(check, tmp_path, "bench")
    assert status == 1 and {"parity", "bench", "environment", "device"} <= results.keys()
    assert "resnet8, batch 8, K = 2, 1 thread, gll, minilocal: the device fell off" in page
    assert "training, backlink: the device fell off" in page and "## Layers" in page and "## Limits" in page
    assert "FAILED" in capsys.readouterr().out


def test_what_there_is_no_time_for_is_named(check, tmp_path, capsys):
    status, results, _ = run(check, tmp_path, "bench", "--minutes", "0.01")
    assert status == 1 and any("no time was left" in line for line in results["bench"]["left out"])


def test_a_check_that_takes_too_long_or_dies_ends_with_a_row_that_says_so(check):
    options = argparse.Namespace(device="cpu", quick=True)
    (slow,) = check.verified("data", options, timeout=0.01)
    assert not slow["passed"] and slow["worst"] == "no time was left"
    (dead,) = check.verified("nothing", options, timeout=60)
    assert not dead["passed"] and "kind of check 'nothing' is not known" in dead["worst"]


def test_without_the_device_it_says_so_in_a_line(check, tmp_path, capsys):
    assert check.main(["bench", "--device", "tpu", "--out", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("gpu-check: UserError: device 'tpu' is not known") and not list(tmp_path.iterdir())
