"""Device against host, on the fake device: the rows pass, and what is broken there is told."""

from __future__ import annotations

import math
from functools import wraps

import numpy as np
import pytest

from minilocal import ops
from minilocal.errors import UserError
from minilocal.verify.device import learners
from minilocal.verify.device import ops as device_ops
from minilocal.verify.device import rows as device
from tests.fake.device import fake
from tests.helpers.plain import NAMES


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
    wrong = wraps(right)(lambda *given: np.float64(1 + 2e-16) * right(*given).get())
    monkeypatch.setattr(ops, "crop_flip_normalise", wrong)
    rows = {row.name: row for row in device.run(fake, quick=True, only="kernels")}
    assert not rows["crop_flip_normalise, float64"].passed and rows["crop_flip_normalise, float64"].error < 1e-15


def test_a_case_that_raises_is_a_row_that_says_so():
    def broken():
        raise ValueError("no such\nthing")

    found = device.row("kernels", "x", [("one", lambda: {"y": 0.0}), ("two", broken)], 1e-9)
    assert not found.passed and found.error == math.inf and found.cases == 2
    assert found.worst == "two: ValueError: no such thing (inf)"


def test_all_that_failed_are_named_up_to_five():
    found = device.row("k", "x", [(str(i), lambda: {"y": 1.0}) for i in range(8)], 0.5)
    assert found.worst.count("(1.0e+00)") == 5 and found.worst.endswith("and 3 more")
    assert device.row("k", "x", [("one", lambda: {"a": 0.1, "b": 0.2})], 0.5).worst == "one: b"


def test_what_is_round_off_beside_its_neighbours_is_compared_with_them():
    ours, reference = {"W": np.ones(3), "b": np.full(2, 3e-7)}, {"W": np.ones(3), "b": np.full(2, 1e-7)}
    assert device_ops.device_errors(ours, reference, "float32")["b"] == pytest.approx(2e-7)
    assert device_ops.device_errors(ours, reference, "float64")["b"] > 0.1
    assert device_ops.device_errors({"W": np.ones(3)}, reference, "float32")["b"] == math.inf


def test_a_list_of_rows_stops_when_the_time_is_over_and_says_so():
    rows = device.run_within(0.0, fake, True, "losses")
    assert len(rows) == 2 and not rows[-1].passed and rows[-1].worst == "no time was left"
    assert all(row.passed for row in device.run_within(600, fake, True, "losses"))


def test_where_there_is_no_tf32_nothing_is_checked():
    assert not [*device.run(fake, only="tf32")] and not [*device.run("cpu", only="tf32")]


def test_unknown_kinds_and_devices_are_refused():
    with pytest.raises(UserError, match="did you mean 'layers'"):
        next(device.run(fake, only="layer"))
    with pytest.raises(UserError, match="tpu"):
        next(device.run("tpu"))
