"""What the methods of a Learner in several ranks give on each of them."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from tests.helpers.host import host

pytest.importorskip("mpi4py", reason="ranks are MPI's: pip install 'minilocal[mpi]'")


def test_rank_0_has_everything_and_errors_are_every_ranks(ranks, tmp_path):
    file = tmp_path / "learner.npz"
    lines = [json.loads(line) for line in ranks("methods.py", 2, str(file)).splitlines()]
    first, other = sorted(lines, key=lambda line: line["own"])
    assert (first["own"], other["own"]) == ([0], [1, 2]) or (first["own"], other["own"]) == ([0, 1], [2])
    for line in lines:
        assert (
            "no array 'no.such'" in line["unknown"] and "save(path)" in line["pickled"] and "labels" in line["labels"]
        )
        assert line["loaded"]
    learner = ml.load(file)
    assert first["states"] == len(learner.optimizer_states()) > other["states"] > 0
    assert first["state"] == len(learner.state()) and other["state"] == 0
    logits = float(host(learner.predict(np.ones((4, 8, 8, 3), "f4"))).sum(dtype="f8"))
    assert first["logits"] == other["logits"] == logits


def test_one_process_is_enough():
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    x, y = np.ones((4, 8, 8, 3), "f4"), np.arange(4)
    alone, one = (kind(net, ml.rules.backlink(), 3, rng=ml.rng(1)) for kind in (ml.parallel.Learner, ml.Learner))
    assert np.array_equal(host(alone.step(x, y, lr=0.1)), host(one.step(x, y, lr=0.1)))
    assert np.array_equal(host(alone.predict(x)), host(one.predict(x)))


def test_loads_are_one_a_module():
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    each: list[Any] = [np.ones(3), [1.0, 0.0, 2.0]]
    for loads in each:
        assert ml.parallel.Learner(net, ml.rules.gll(), 3, rng=ml.rng(1), loads=loads).own_modules == range(3)
    for loads in ([1.0, 1.0], [1.0] * 4):
        with pytest.raises(ml.UserError, match=f"{len(loads)} loads met 3 modules"):
            ml.parallel.Learner(net, ml.rules.gll(), 3, rng=ml.rng(1), loads=loads)
    with pytest.raises(ml.UserError):
        ml.parallel.Learner(net, ml.rules.gll(), 3, rng=ml.rng(1), loads=[1.0, -1.0, 1.0])


def test_more_ranks_than_modules_are_refused(ranks):
    with pytest.raises(AssertionError, match="3 processes for 2 modules"):
        ranks("same_bits.py", 3, "--modules=2", "gll")


def test_gradients_without_memory_are_advised_as_in_one_process():
    x, y = np.ones((32, 16, 16, 3), "f4"), np.arange(32) % 10
    lines = []
    for kind in (ml.parallel.Learner, ml.Learner):
        learner = kind(ml.nets.resnet(20, size=16, rng=ml.rng(0)), ml.rules.bp(), 5, rng=ml.rng(1))
        unit: Any = learner.modules[1].units[0]
        unit.forward = partial(forward_of_one_image, unit.forward)
        with pytest.raises(ml.UserError) as caught:
            learner.gradients(x, y)
        lines.append(str(caught.value))
    assert lines[0] == lines[1] and "or keep less. Backpropagation keeps" in lines[0]


def forward_of_one_image(forward, h, *others):
    """The forward of a unit that finds no room for more images."""
    if len(h) > 1:
        raise MemoryError
    return forward(h, *others)
