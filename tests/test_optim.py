"""Optimisers against their equations written out, and learning rates against numbers worked out by hand."""

from __future__ import annotations

from math import cos, pi

import numpy as np
import pytest

from minilocal import optim


def run(recipe, grads, w0=1.0, lr=0.1, dtype="float64"):
    w, state = np.full(2, w0, dtype), {}
    for g in grads:
        recipe.update([(w, np.full(2, g, dtype), state)], lr)
    assert w.dtype == dtype
    return w[0]


def test_sgd_with_momentum_and_decay():
    w, v = 1.0, 0.0
    for g in (0.5, -0.2, 0.3):
        g = g + 0.01 * w
        v = 0.9 * v + g
        w = w - 0.1 * v
    assert run(optim.SGD(0.9, 0.01), (0.5, -0.2, 0.3)) == pytest.approx(w, rel=1e-14)


def test_nesterov_looks_ahead():
    w, v = 1.0, 0.0
    for g in (0.5, -0.2, 0.3):
        g = g + 0.01 * w
        v = 0.9 * v + g
        w = w - 0.1 * (g + 0.9 * v)
    assert run(optim.SGD(0.9, 0.01, nesterov=True), (0.5, -0.2, 0.3)) == pytest.approx(w, rel=1e-14)


def test_adam():
    w, m, s = 1.0, 0.0, 0.0
    for t, g in enumerate((0.5, -0.2, 0.3), 1):
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        w -= 0.1 * (m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 1e-8)
    assert run(optim.Adam(), (0.5, -0.2, 0.3)) == pytest.approx(w, rel=1e-12)


@pytest.mark.parametrize(
    "recipe", [optim.SGD(0.9, 0.1), optim.SGD(0.9, 0.1, True), optim.SGD(0.0), optim.Adam(weight_decay=0.1)]
)
def test_float32_stays_float32(recipe):
    w, state = np.ones(3, "f4"), {}
    for _ in range(3):
        recipe.update([(w, np.ones(3, "f4"), state)], 0.1)
    assert w.dtype == "f4" and all(a.dtype == "f4" for a in state.values() if isinstance(a, np.ndarray))


def test_schedules():
    assert [optim.constant(0.3).lr(e) for e in (0, 7)] == [0.3, 0.3]
    drops = optim.steps(1.0, (2, 4), 0.5)
    assert [drops.lr(e) for e in range(6)] == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert optim.cosine(0.8, 10).lr(0) == 0.8 and optim.cosine(0.8, 10).lr(5) == pytest.approx(0.4)
    assert [round(optim.warmup(optim.constant(1.0), 4).lr(e), 9) for e in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_infopros_schedule_to_the_letter():
    lr0, E = 0.8, 160
    at = optim.infopro(lr0, E)
    for e in range(1, E + 1):
        c = 0.5 * lr0 * (1 + cos(pi * e / E))
        assert at.lr(e - 1) == pytest.approx(c if e > 10 else c * (e - 1) / 10 + 0.01 * (11 - e) / 10, rel=1e-15)
    assert at.lr(0) == 0.01 and at.lr(E - 1) == 0.0


@pytest.mark.parametrize(
    "text, epoch, expected",
    [
        ("constant", 9, 0.1),
        ("steps", 5, 0.01),
        ("steps:3,8:0.5", 8, 0.025),
        ("warmup:5+constant", 0, 0.02),
        ("cosine", 0, 0.1),
    ],
)
def test_schedules_as_flags_spell_them(text, epoch, expected):
    assert optim.schedule(text, 0.1, 10).lr(epoch) == pytest.approx(expected)
