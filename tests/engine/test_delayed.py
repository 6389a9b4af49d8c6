"""The engine of delayed rules keeps no more than it must."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Flatten, Layer, Linear, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets import Net


class Mark:
    """Stands for what a forward keeps; lives as long as its cache."""


class Watched(Linear):
    """A linear layer whose caches are counted while they live."""

    def __init__(self, *args, above=None, **more):
        super().__init__(*args, **more)
        self.above = above
        self.alive: weakref.WeakSet[Mark] = weakref.WeakSet()
        self.gone: list[int | None] = []

    def forward(self, x, run, p=None):
        y, cache = super().forward(x, run, p)
        mark = Mark()
        self.alive.add(mark)
        return y, (cache, mark)

    def backward(self, dy, cache, p=None, need="both"):
        self.gone.append(None if self.above is None else len(self.above.alive))
        return super().backward(dy, cache[0], p, need)


def watched(K, per_module, rule):
    initial = Initializer(0, "framework")
    layers: list[Watched] = []
    widths = [18, *[5] * (K * per_module - 1), 4]
    for i in reversed(range(K * per_module)):
        above = layers[0] if layers and (i + 1) % per_module else None
        layers.insert(0, Watched(widths[i], widths[i + 1], initial, name=f"layers.{i}", above=above))
    units: list[Layer] = [Sequential([Flatten(), layers[0]]), *(Sequential([layer]) for layer in layers[1:])]
    net = Net("watched", units, Sequential([], "head"), 4, (3, 3, 2), initial)
    learner = ml.Learner(net, rule, K, rng=ml.rng(0))
    for layer in layers:
        layer.gone.clear()  # a Learner tries layers that are not the package's once
    return learner, layers


def step(learner):
    rng = ml.rng(1)
    learner.step(rng.standard_normal((4, 3, 3, 2)), rng.integers(0, 4, 4), lr=0.1)


@pytest.mark.parametrize("mode", ["stashed", "current", "recompute"])
@pytest.mark.parametrize("name", ["ddg", "fdg"])
def test_between_iterations_live_the_caches_that_the_tables_say_and_no_other(name, mode):
    K = 3
    learner, layers = watched(K, 1, ml.rules.get(name, backward_weights=mode))
    for _ in range(3 * K):
        step(learner)
    table = {"ddg": [2, 1, 0], "fdg": [4, 2, 0]}[name]
    assert learner.in_flight == table
    assert [len(layer.alive) for layer in layers] == ([0] * K if mode == "recompute" else table)
    learner.finish()
    assert [len(layer.alive) for layer in layers] == [0] * K == learner.in_flight


@pytest.mark.parametrize("mode", ["stashed", "recompute"])
def test_a_cache_is_let_go_as_soon_as_the_error_has_passed(mode):
    """When the lower unit of a module goes backward, the upper one's cache of that batch is there no more."""
    K, after = 2, {"stashed": 1, "recompute": 0}[mode]  # the newest batch's is there: forward comes first
    learner, layers = watched(K, 2, ml.rules.ddg(backward_weights=mode))
    for _ in range(4):
        step(learner)
    assert set(layers[0].gone) == {after} and set(layers[2].gone) == {0}


def test_stashing_costs_one_copy_of_a_modules_weights_for_each_batch_that_waits():
    learner, _ = watched(3, 1, ml.rules.fdg())
    for _ in range(9):
        step(learner)
    for pendings, module in zip(learner._engine.in_flight.pending, learner.modules, strict=True):
        for pending in pendings:
            assert list(pending.weights) == module.parameters()
            assert not any(np.shares_memory(w, learner.parameters()[name]) for name, w in pending.weights.items())
