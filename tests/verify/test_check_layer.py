"""`ml.verify.check_layer`: passes every layer of the package, sees every fault, and needs no JAX."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Layer
from minilocal.verify.layers import CASES

SMALL = [case for case in CASES if not case.large and not case.add]


@pytest.mark.parametrize("case", SMALL[:: max(1, len(SMALL) // 40)], ids=lambda case: f"{case.kind} {case.name}")
def test_the_packages_layers_pass(case):
    layer = case.make(ml.layers.Initializer(7, "framework"))
    N, *shape = case.shape
    check = ml.verify.check_layer(layer, tuple(shape), images=min(N, 3), training=case.training)
    assert [row.name for row in check.rows] == ["dx", *layer.parameters]
    assert all(row.difference <= row.allowed for row in check.rows)


class Tanh(Layer):
    """y = w tanh(x): right, and the first of a family of wrong ones."""

    def __init__(self):
        super().__init__("tanh")
        self.parameters = {"tanh.w": np.full(5, 0.7, "f4")}

    def forward(self, x, run, p=None):
        t = np.tanh(x)
        return self._get(p, "w") * t, t

    def backward(self, dy, cache, p=None, need="both"):
        grads = {} if need == "input" else {"tanh.w": (dy * cache).sum(0)}
        return None if need == "weights" else dy * self._get(p, "w") * (1 - cache * cache), grads


class WrongInput(Tanh):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        return None if dx is None else dx * (1 + 1e-6), grads


class WrongWeight(Tanh):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        return dx, {name: g / len(dy) for name, g in grads.items()}


class OneWrongNumber(Tanh):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        if dx is not None:
            dx[1, 3] = 0
        return dx, grads


class WritesIntoX(Tanh):
    def forward(self, x, run, p=None):
        np.tanh(x, out=x)
        return self._get(p, "w") * x, x.copy()


class WritesIntoDy(Tanh):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        dy *= 2
        return dx, grads


class WritesIntoCache(Tanh):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        cache[...] = 0
        return dx, grads


class WritesIntoP(Tanh):
    def forward(self, x, run, p=None):
        if p is not None:
            p["tanh.w"][...] += 1
        return super().forward(x, run, p)


class OwnArrays(Tanh):
    """Ignores the weights that it is given: in a Learner it would never learn."""

    def _get(self, p, local):
        return self.parameters[f"tanh.{local}"]


class Counts(Tanh):
    calls = 0

    def forward(self, x, run, p=None):
        self.calls += 1
        y, cache = super().forward(x, run, p)
        return y * self.calls, cache * self.calls


class SaysOnce(Tanh):
    """A list for a cache, emptied by the first backward."""

    def forward(self, x, run, p=None):
        y, t = super().forward(x, run, p)
        return y, [t, t]

    def backward(self, dy, cache, p=None, need="both"):
        t = cache.pop() if len(cache) > 1 else 0 * cache[0]
        return super().backward(dy, t, p, need)


class Halves(Tanh):
    def backward(self, dy, cache, p=None, need="both"):
        dx, grads = super().backward(dy, cache, p, need)
        return dx if dx is None or need == "both" else dx / 2, grads


class Widens(Tanh):
    def forward(self, x, run, p=None):
        y, cache = super().forward(x, run, p)
        return y * np.float64(1), cache


WRONG = [
    (WrongInput, r"dx at \(\d, \d\) is .* by finite differences .*: its backward is not the derivative"),
    (WrongWeight, r"the gradient of 'tanh\.w' at \(0,\)"),
    (OneWrongNumber, r"dx at \(1, 3\) is 0,"),
    (WritesIntoX, "forward writes into x|two forwards of one batch differ"),
    (WritesIntoDy, "backward writes into dy"),
    (WritesIntoCache, "backward writes into the cache"),
    (WritesIntoP, "forward writes into p|two forwards"),
    (OwnArrays, "float32|finite differences|not the derivative"),
    (Counts, "two forwards of one batch differ"),
    (SaysOnce, "a second backward on one cache|another"),
    (Halves, 'need="input" gives another dx'),
    (Widens, "float64 where the network is float32"),
]


def test_a_right_layer_passes_and_prints_a_table():
    table = repr(ml.verify.check_layer(Tanh(), (5,)))
    assert table.startswith("Tanh 'tanh': backward agrees") and "tanh.w" in table and "15" in table


@pytest.mark.parametrize("kind, says", WRONG, ids=lambda w: getattr(w, "__name__", ""))
def test_every_fault_is_named_in_one_line(kind, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        ml.verify.check_layer(kind(), (5,))
    assert "\n" not in str(caught.value)


def test_a_factor_of_a_millionth_is_seen_at_every_seed():
    for seed in range(20):
        with pytest.raises(ml.UserError, match="dx at"):
            ml.verify.check_layer(WrongInput(), (5,), seed=seed)
        ml.verify.check_layer(Tanh(), (5,), seed=seed)


def test_own_images_and_wrong_ones():
    check = ml.verify.check_layer(Tanh(), (5,), x=np.ones((2, 5)))
    assert check.rows[0].shape == (2, 5)
    with pytest.raises(ml.UserError, match=r"x is \(2, 4\), and one input \(5,\)"):
        ml.verify.check_layer(Tanh(), (5,), x=np.ones((2, 4)))


class Log(Layer):
    """y = log x: right, and not defined below 0."""

    def forward(self, x, run, p=None):
        with np.errstate(all="ignore"):
            return np.log(x), x

    def backward(self, dy, x, p=None, need="both"):
        return None if need == "weights" else dy / x, {}


def test_where_a_layer_is_not_defined_is_not_taken_for_chance():
    with pytest.raises(ml.UserError, match="not finite: give an x for which it is defined"):
        ml.verify.check_layer(Log(), (3,))
    ml.verify.check_layer(Log(), (3,), x=np.full((2, 3), 1.5))


def test_a_large_array_is_looked_at_in_a_hundred_places():
    layer = ml.layers.Linear(30, 20, ml.layers.Initializer(0), name="fc")
    assert [row.moved for row in ml.verify.check_layer(layer, (30,)).rows] == [90, 100, 20]


def test_an_auxiliary_network_is_a_layer_too():
    net = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
    learner = ml.Learner(net, ml.rules.backlink(aux="1c2f"), 2, rng=ml.rng(1))
    objective = learner.modules[0].objective
    assert isinstance(objective, ml.objectives.ClassifierLoss)
    ml.verify.check_layer(objective.network, net.shapes[learner.modules[0].top])


def test_it_needs_no_jax():
    code = (
        "import sys; sys.modules['jax'] = None; import minilocal as ml; "
        "print(ml.verify.check_layer(ml.layers.ReLU('relu'), (4,)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "ReLU 'relu'" in done.stdout, done.stderr
