"""What the tests of the rules with delays share: small nets, batches, and a Learner beside its replay."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

import minilocal as ml
from minilocal.layers import Dropout, Linear, ReLU, Sequential
from minilocal.layers.initial import Initial
from minilocal.nets import Net
from minilocal.nets.resnet import _stages
from minilocal.verify.measure import errors
from minilocal.verify.twins.replay import Replay

MODES = ("stashed", "current", "recompute")
SGD = {"momentum": 0.9, "weight_decay": 1e-2}
N = 4


@lru_cache
def net(name: str) -> Net:
    """Four units each; the same object each time, so that its twins are compiled once."""
    if name == "mlp":
        return ml.nets.mlp((9, 8, 7), classes=4, rng=ml.rng(0), channels=2, size=3)
    if name == "dropout":
        initial, widths = Initial(3, "framework"), (18, 9, 8, 7)
        units = [ml.nets.mlp((9,), classes=4, rng=ml.rng(1), channels=2, size=3).units[0]]
        for i in (1, 2):
            linear = Linear(widths[i], widths[i + 1], initial, name=f"layers.{i}")
            units.append(Sequential([Dropout(0.5, name=f"drop.{i}"), linear, ReLU()], linear.name))
        out = Linear(7, 4, initial, name="layers.3")
        return Net("dropout", [*units, out], Sequential([], "head"), 4, (3, 3, 2), initial)
    if name == "resnet8":
        return ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    return _stages("narrow resnet8", (4, 5, 6), 1, 4, 3, 8, "B", Initial(5))  # a referee of few numbers is a quick one


def batches(net: Net, number: int, dtype: str = "float64") -> list[tuple[np.ndarray, np.ndarray]]:
    rng = ml.rng(7)
    return [(rng.standard_normal((N, *net.shape)).astype(dtype), rng.integers(0, 4, N)) for _ in range(number)]


def learner(net: Net, rule: ml.rules.Rule, K: int, *, dtype: str = "float64", **sgd: float) -> ml.Learner:
    return ml.Learner(net, rule, K, rng=ml.rng(1), dtype=dtype, optimizer=ml.optim.SGD(**{**SGD, **sgd}))


def weights(learner: ml.Learner) -> dict[str, np.ndarray]:
    return {name: a.copy() for name, a in learner.parameters().items()}


def replayed(it: ml.Learner, steps: int, lr: float, **options: object) -> float:
    """The largest error of how far the Learner's weights have gone, and of its losses, over `steps` iterations.

    Measured after every iteration, against a replay that starts from the same weights.
    """
    start = weights(it)
    twin = Replay(it.modules, start, lr=lr, momentum=SGD["momentum"], decay=SGD["weight_decay"], **options)
    worst = 0.0
    for x, y in batches(it.net, steps):
        losses, loss = it.step(x, y, lr=lr), twin.iterate(x, y)
        assert np.isnan(losses[:-1]).all() and np.isnan(losses[-1]) == (loss is None)
        ours = {name: a - start[name] for name, a in it.parameters().items()}
        theirs = {name: a - start[name] for name, a in twin.arrays().items()}
        worst = max(worst, *errors(ours, theirs).values())
        worst = worst if loss is None else max(worst, abs(float(losses[-1]) / loss - 1))
    assert all((a != start[name]).any() for name, a in it.parameters().items()), "every array has moved"
    return worst


def same(a: ml.Learner, b: ml.Learner, *, buffers: bool = True) -> bool:
    """The same weights, and running statistics, bit for bit."""
    mine, yours = {**a.parameters()}, {**b.parameters()}
    if buffers:
        mine, yours = {**mine, **a.buffers()}, {**yours, **b.buffers()}
    return all((mine[name] == yours[name]).all() for name in yours)
