"""What the methods of a Learner in several ranks give on each of them."""

from __future__ import annotations

import json

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


def test_more_ranks_than_modules_are_refused(ranks):
    with pytest.raises(AssertionError, match="3 processes for 2 modules"):
        ranks("same_bits.py", 3, "--modules=2", "gll")
