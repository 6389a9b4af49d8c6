"""Device against host, on the fake device: the rows pass, and a fault on the device fails its row."""

from __future__ import annotations

import json
import math
from functools import wraps

import numpy as np
import pytest

from minilocal import device as devices
from minilocal import learner, losses, ops
from minilocal.cli import main
from minilocal.errors import UserError
from minilocal.verify.device import learners
from minilocal.verify.device import ops as device_ops
from minilocal.verify.device import rows as device
from tests.fake import cuda_on_host
from tests.fake.device import fake, fetch
from tests.helpers.plain import NAMES

needs_kernels = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))


@pytest.mark.parametrize("kind", ["kernels", "layers", "losses", "heads", "data"])
def test_the_fake_device_computes_what_the_host_computes(kind):
    rows = [*device.run(fake, quick=True, only=kind)]
    assert rows and not [f"{row.name}: {row.worst}" for row in rows if not row.passed]


def test_a_rule_and_a_saved_run_go_on_there(monkeypatch):
    subjects = learners.subjects(quick=True)
    some = {name: subjects[name] for name in ("BackLink, literal", "DDG, stashed", "DGL, asynchronous")}
    monkeypatch.setattr(learners, "subjects", lambda quick: some)
    rows = [*device.rule_rows(fake, True), *device.state_rows(fake, True)]
    assert len(rows) == 6 and not [f"{row.name}: {row.worst}" for row in rows if not row.passed]


def test_every_kernel_has_cases():
    assert device_ops.cases().keys() == set(NAMES)


def test_a_wrong_kernel_is_told(monkeypatch):
    right = ops.relu
    monkeypatch.setattr(ops, "relu", wraps(right)(lambda x: right(x) * (1 + 1e-6)))  # its plain code stays
    rows = {row.name: row for row in device.run(fake, quick=True, only="kernels")}
    assert not rows["relu, float64"].passed and 0.5e-6 < rows["relu, float64"].error < 2e-6
    assert rows["relu, float32"].passed and rows["relu_backward, float64"].passed


def test_one_bit_is_too_much_for_what_is_to_be_equal(monkeypatch):
    right = ops.crop_flip_normalise
    wrong = wraps(right)(lambda *args: np.float64(1 + 2e-16) * fetch(right(*args)))
    monkeypatch.setattr(ops, "crop_flip_normalise", wrong)
    rows = {row.name: row for row in device.run(fake, quick=True, only="kernels")}
    assert not rows["crop_flip_normalise, float64"].passed and rows["crop_flip_normalise, float64"].error < 1e-15


def test_a_case_that_raises_is_a_row_that_says_so():
    def broken():
        raise ValueError("no such\nthing")

    row = device.row("kernels", "x", [("one", lambda: {"y": 0.0}), ("two", broken)], 1e-9)
    assert not row.passed and row.error == math.inf and row.cases == 2
    assert row.worst == "two: ValueError: no such thing (inf)"


def test_all_that_failed_are_named_up_to_five():
    row = device.row("k", "x", [(str(i), lambda: {"y": 1.0}) for i in range(8)], 0.5)
    assert row.worst.count("(1.0e+00)") == 5 and row.worst.endswith("and 3 more")
    assert device.row("k", "x", [("one", lambda: {"a": 0.1, "b": 0.2})], 0.5).worst == "one: b"


def test_what_is_zero_but_for_round_off_is_measured_against_the_largest_array():
    """In both types: `exact` is always computed in float64."""
    exact = {"W": np.ones(3), "b": np.full(2, 1e-17), "small": np.full(2, 1e-6)}
    for noise in (3e-17, 3e-8):  # a float64 device's, a float32 device's
        ours = {"W": np.ones(3), "b": np.full(2, noise), "small": np.full(2, 1.01e-6)}
        relative = device_ops.device_errors(ours, exact)
        assert relative["b"] == pytest.approx(noise, rel=0.5) and relative["small"] > 4e-3
    assert device_ops.device_errors({"W": np.ones(3)}, exact)["b"] == math.inf


@needs_kernels
def test_the_note_of_a_graph_row_says_how_the_steps_ran(monkeypatch):
    subjects = learners.subjects(quick=True)
    monkeypatch.setattr(learners, "subjects", lambda quick: {name: subjects[name] for name in ("GLL", "DDG, stashed")})
    (only,) = device.run(fake, quick=True, only="graphs")
    assert only.name == "GLL" and only.passed and "recorded as CUDA graphs" in only.note


@pytest.fixture
def cuda(monkeypatch):
    """The fake device under the name cuda."""
    real = devices.device_namespace
    for module in (devices, device, device_ops, learner):
        monkeypatch.setattr(module, "device_namespace", lambda name: fake if name == "cuda" else real(name))


def test_the_command_prints_the_rows_of_a_device_and_writes_them(cuda, capsys, tmp_path):
    out = tmp_path / "rows.jsonl"
    assert main(["verify", "--device", "cuda", "--only", "losses", "--quick", "--out", str(out)]) == 0
    printed, rows = capsys.readouterr().out.splitlines(), [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 12 and all(row["passed"] for row in rows)
    assert [line.split()[:2] for line in printed[1:13]] == [["device", "losses"]] * 12
    assert "|ours - host|" in printed[-1]


def test_a_failed_row_of_a_device_is_the_exit_status(cuda, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "squared_error", lambda z, target: 1 / 0)
    out = tmp_path / "rows.jsonl"
    assert main(["verify", "--device", "cuda", "--only", "losses", "--out", str(out)]) == 1
    assert (
        "FAILED device losses, squared error, float32: inf in 12 samples: ZeroDivisionError" in capsys.readouterr().out
    )
    failed = [row for row in map(json.loads, out.read_text().splitlines()) if not row["passed"]]
    assert [row["error"] for row in failed] == [None, None]


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--device", "tpu"], "device 'tpu' is not known. Known: cpu, cuda, cuda:N."),
        (["--device", "cpu", "--only", "objectives"], "kind of check 'objectives' is not known. Known: kernels"),
        (["--device", "cpu", "--only", "data", "--out", "no/such/rows"], "--out no/such/rows: there is no folder"),
    ],
)
def test_what_the_command_refuses_is_one_line(words, reason, capsys):
    assert main(["verify", *words]) == 2
    out, err = capsys.readouterr()
    assert reason in err and err.count("\n") == 1 and not out


def test_where_there_is_no_tf32_nothing_is_checked():
    assert not [*device.run(fake, only="tf32")] and not [*device.run("cpu", only="tf32")]


def test_unknown_kinds_and_devices_are_refused():
    with pytest.raises(UserError, match="did you mean 'layers'"):
        next(device.run(fake, only="layer"))
    with pytest.raises(UserError, match="tpu"):
        next(device.run("tpu"))
