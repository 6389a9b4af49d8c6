"""Hooks: what they see, in which order, what they may change, and that a step holds no more with them than without."""

from __future__ import annotations

import weakref
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import minilocal as ml
from minilocal.engine import Module
from minilocal.engine.hooks import Hook, hooked
from minilocal.layers import Layer, PassContext

NET = ml.nets.mlp((12, 12, 12), classes=3, size=2, rng=ml.rng(0))
X, Y = np.random.default_rng(0).standard_normal((6, 2, 2, 3)).astype("f4"), np.arange(6) % 3


def make_learner(rule, modules=2):
    return ml.Learner(NET, rule, modules, rng=ml.rng(0))


class Recorder(Hook):
    """Writes down every call."""

    def __init__(self, calls, k):
        self.calls, self.k = calls, k

    def before_forward(self, part):
        self.calls.append((self.k, part, "before forward"))

    def after_forward(self, part, out, cache):
        assert out is not None
        self.calls.append((self.k, part, "after forward"))
        return out

    def before_backward(self, part):
        self.calls.append((self.k, part, "before backward"))

    def after_backward(self, part, error, grads):
        self.calls.append((self.k, part, "after backward"))
        return error


def calls_of(rule):
    calls: list[tuple[int, int | str, str]] = []
    trained = make_learner(rule)
    with hooked(trained.modules, [Recorder(calls, k) for k in range(2)]):
        trained.gradients(X, Y)
    calls_inside = list(calls)
    trained.gradients(X, Y)
    assert calls == calls_inside  # no hook is left
    return calls


def test_every_unit_and_objective_is_seen_in_the_order_of_the_step():
    work: list[tuple[int, int | str, str]] = [(k, u, "forward") for k in range(2) for u in range(2)]
    work.insert(2, (0, "objective", "forward"))
    work[3:3] = [(0, "objective", "backward"), (0, 1, "backward"), (0, 0, "backward")]
    work += [(1, "objective", "forward"), (1, "objective", "backward"), (1, 1, "backward"), (1, 0, "backward")]
    assert calls_of(ml.rules.gll()) == [(k, p, f"{when} {what}") for k, p, what in work for when in ("before", "after")]


def test_a_synthesiser_is_seen_twice_when_it_predicts_and_when_it_learns():
    seen = [(k, what) for k, part, what in calls_of(ml.rules.dni()) if part == "synthesiser"]
    assert seen == [(0, f"{when} {what}") for what in ("forward", "backward") for when in ("before", "after")]


class Scaling(Hook):
    """Multiplies what leaves one part by a number, in the forward or in the backward."""

    def __init__(self, part, forward=1.0, backward=1.0):
        self.part, self.forward, self.backward = part, forward, backward

    def after_forward(self, part, out, cache):
        return out * self.forward if part == self.part else out

    def after_backward(self, part, error, grads):
        return error * self.backward if part == self.part and error is not None else error


def test_what_a_hook_returns_takes_the_place_of_what_it_saw():
    plain, (bottom, above) = make_learner(ml.rules.bp()), [f"{unit.name}.weight" for unit in NET.units[:2]]
    expected = plain.gradients(X, Y)[1]
    assert expected[bottom].any() and expected[above].any()
    plain.modules[0].hooks.extend([Scaling(1, backward=2.0), Scaling(1, backward=3.0)])  # the second gets the first's
    got = plain.gradients(X, Y)[1]
    assert np.allclose(got[bottom], 6 * expected[bottom], rtol=1e-5) and (got[above] == expected[above]).all()
    plain.modules[0].hooks[:] = [Scaling(1, forward=0.0)]
    assert not plain.gradients(X, Y)[1][f"{NET.units[2].name}.weight"].any()


def test_an_objective_gets_the_batch_that_a_hook_gives_it():
    class Relabel(Hook):
        def replace_batch(self, part, batch):
            return batch._replace(y=(batch.y + 1) % 3)

    plain, other = make_learner(ml.rules.gll()), make_learner(ml.rules.gll())
    other.modules[0].hooks.append(Relabel())
    losses, relabelled = plain.gradients(X, Y)[0], other.gradients(X, Y)[0]
    assert losses[0] != relabelled[0] == plain.gradients(X, (Y + 1) % 3)[0][0] and losses[1] == relabelled[1]


def test_hooks_are_removed_after_an_exception_and_others_stay():
    trained, own = make_learner(ml.rules.gll()), Hook()
    trained.modules[0].hooks.append(own)
    with pytest.raises(RuntimeError), hooked(trained.modules, [Hook(), Hook()]):
        raise RuntimeError
    assert trained.modules[0].hooks == [own] and trained.modules[1].hooks == []


def test_a_module_is_frozen():
    module = make_learner(ml.rules.gll()).modules[0]
    with pytest.raises(FrozenInstanceError):
        module.objective = None


def test_a_unit_holds_the_only_reference_to_its_error_and_cache_with_hooks_too():
    freed = []

    class Frees(Layer):
        def forward(self, x, ctx, p=None):
            return x + 0, [x + 1]

        def backward(self, dy, cache, p=None, need="both"):
            dx, kept = dy + 1, [weakref.ref(dy), weakref.ref(cache[0])]
            del dy, cache
            freed.append([a() is None for a in kept])
            return dx, {}

    module = Module([Frees("a"), Frees("b")], 0, None)
    module.hooks.append(Recorder([], 0))
    y, caches = module.forward(X, PassContext(), {}, False)
    del y
    errors = [X * 1]
    module.backward(errors.pop(), caches, {}, True, lambda u, grads: None)
    assert freed == [[True, True]] * 2
