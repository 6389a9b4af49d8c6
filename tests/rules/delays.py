"""Helpers for tests of delayed rules: small nets, batches, and a Learner beside its replay."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

import minilocal as ml
from minilocal.layers import Dropout, Linear, ReLU, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets import Net
from minilocal.nets.resnet import _stages
from minilocal.verify.delayed import BATCH as N
from minilocal.verify.delayed import DECAY, MODES, MOMENTUM, batches, beside_replay
from tests.helpers.host import host

__all__ = ["MODES", "N", "batches", "make_learner", "net", "replayed", "same", "statistics_move_once", "weights"]


@lru_cache
def net(name: str) -> Net:
    """Four units each; the same object each time, so that its references are compiled once."""
    if name == "mlp":
        return ml.nets.mlp((9, 8, 7), classes=4, rng=ml.rng(0), channels=2, size=3)
    if name == "dropout":
        initial, widths = Initializer(3, "framework"), (18, 9, 8, 7)
        units = [ml.nets.mlp((9,), classes=4, rng=ml.rng(1), channels=2, size=3).units[0]]
        for i in (1, 2):
            linear = Linear(widths[i], widths[i + 1], initial, name=f"layers.{i}")
            units.append(Sequential([Dropout(0.5, name=f"drop.{i}"), linear, ReLU()], linear.name))
        out = Linear(7, 4, initial, name="layers.3")
        return Net("dropout", [*units, out], Sequential([], "head"), 4, (3, 3, 2), initial)
    if name == "resnet8":
        return ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    return _stages("narrow resnet8", (4, 5, 6), 1, 4, 3, 8, "B", Initializer(5))  # few numbers: JAX verifies it fast


def make_learner(net: Net, rule: ml.rules.Rule, K: int, *, dtype: str = "float64", **sgd: float) -> ml.Learner:
    numbers: dict[str, Any] = {"momentum": MOMENTUM, "weight_decay": DECAY, **sgd}
    optimizer = ml.optim.SGD(**numbers)
    return ml.Learner(net, rule, K, rng=ml.rng(1), dtype=dtype, optimizer=optimizer)


def weights(learner: ml.Learner) -> dict[str, np.ndarray]:
    return {name: host(a).copy() for name, a in learner.parameters().items()}


def replayed(learner: ml.Learner, steps: int, lr: float, **options: object) -> float:
    """The largest error beside the replay, over `steps` iterations in which every array moves."""
    start = weights(learner)
    worst = max(beside_replay(learner, steps, lr, **options).values())
    assert all((a != start[name]).any() for name, a in learner.parameters().items()), "every array has moved"
    return worst


def same(a: ml.Learner, b: ml.Learner, *, buffers: bool = True) -> bool:
    """The same weights, and running statistics, bit for bit."""
    mine, yours = {**a.parameters()}, {**b.parameters()}
    if buffers:
        mine, yours = {**mine, **a.buffers()}, {**yours, **b.buffers()}
    return all((mine[name] == yours[name]).all() for name in yours)


def statistics_move_once(rule: ml.rules.Rule) -> None:
    """Running statistics move once per forward: at lr 0 all forwards have the same weights, so they end as BP's.

    They would differ if they were updated twice, or never.
    """
    delayed, bp = make_learner(net("narrow"), rule, 3), make_learner(net("narrow"), ml.rules.bp(), 3)
    for x, y in batches(net("narrow"), 5):
        for learner in (delayed, bp):
            learner.step(x, y, lr=0.0)
    delayed.finish()
    assert same(delayed, bp) and any((a != 0).any() for a in delayed.buffers().values())
