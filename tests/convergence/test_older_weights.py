"""What delayed rules and asynchronous workers apply at older weights: to the bit what training applies.

A Learner is trained on one batch again and again. Then the expectation over batches is that of a single one, and the
gradients that its engine applies in a later iteration are known: they are read from a copy of the Learner itself.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.array import Array
from minilocal.convergence.applied import applied
from minilocal.convergence.asynchronous import AsynchronousGradients, trained_further
from minilocal.convergence.delayed import DelayedGradients, longest_delay
from minilocal.engine import AsynchronousEngine
from minilocal.layers import PassContext
from minilocal.objectives import Batch
from minilocal.rules.when import Asynchronous
from minilocal.verify.small_nets import convolutions

NET = convolutions("convolutions", 8, 8)
X, Y = ml.rng(1).standard_normal((6, 8, 8, 3)), np.array([0, 1, 2, 3, 1, 0])
LR = 0.05
DELAYED = {
    "ddg": ml.rules.ddg(),
    "ddg, current": ml.rules.ddg(backward_weights="current"),
    "ddg, recompute": ml.rules.ddg(backward_weights="recompute"),
    "fdg": ml.rules.fdg(beta=0.7),
    "fdg, current": ml.rules.fdg(beta=0.7, backward_weights="current"),
    "fdg, recompute": ml.rules.fdg(backward_weights="recompute"),
    "fdg, forward first": ml.rules.compose(boundary=ml.boundaries.delayed(activations=1), when=ml.when.always()),
    "two iterations": ml.rules.compose(boundary=ml.boundaries.delayed(activations=2, errors=3), when=ml.when.always()),
}  # fmt: skip


def make_learner(rule: ml.rules.Rule, modules: int = 4) -> ml.Learner:
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-3)
    return ml.Learner(NET, rule, modules, rng=ml.rng(3), dtype="float64", optimizer=optimizer)


def batches() -> list[tuple[Array, Array]]:
    return [(X, Y)]


def context(learner: ml.Learner, step: int = 0) -> PassContext:
    return PassContext(True, learner.key, learner.epoch, step)


def same(a: dict[str, Array], b: dict[str, Array]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)  # type: ignore[arg-type]


@pytest.mark.parametrize("modules", [2, 4])
@pytest.mark.parametrize("name", DELAYED)
@pytest.mark.parametrize("steps", [1, 17])  # while the pipeline fills, too
def test_a_delayed_rule_applies_what_its_engine_applies(name, modules, steps):
    learner = make_learner(DELAYED[name], modules)
    for _ in range(steps):
        learner.step(X, Y, lr=LR)
    training = copy.deepcopy(learner)
    measured = applied(learner, batches, LR)
    for _ in range(longest_delay(learner.modules, learner.rule)):
        training.step(X, Y, lr=LR)
    grads: dict[str, Array] = {}
    training.engine.step(Batch(X, Y), context(training), grads.update, False)
    assert isinstance(measured, DelayedGradients)
    assert same({n: measured.arrays[n] for n in training.parameters()}, training.parameters()), "w_t, for ∇L"
    if steps == 1:  # modules that had no error yet have moved less: their gradients are those of fewer iterations
        return
    assert same(measured.gradients(Batch(X, Y), context(learner)), grads)
    assert sorted(grads) == sorted(learner.net.parameters())


@pytest.mark.parametrize("name", DELAYED)
@pytest.mark.parametrize("modules", [1, 2, 3])
def test_the_longest_delay_is_no_longer_than_it_must_be(name, modules):
    learner = make_learner(DELAYED[name], modules)
    D = longest_delay(learner.modules, learner.rule)
    for iterations, complete in ((D + 1, True), (D, False)):
        grads: dict[str, Array] = {}
        again = make_learner(DELAYED[name], modules)
        for _ in range(iterations):
            again.engine.step(Batch(X, Y), context(again), grads.update, False)
        assert (sorted(grads) == sorted(learner.net.parameters())) is complete


@pytest.mark.parametrize("beta", [1.0, 0.5])
def test_without_movement_only_beta_is_left(beta):
    """At rate 0 all weights are w_t: module k has β^{K-k} times BP's gradient, FDG's (7)."""
    for rule in (ml.rules.ddg(), ml.rules.fdg(beta=beta)):
        result = ml.convergence.measure(make_learner(rule, 4), X, Y)
        factors = [(1.0 if rule.name == "DDG" else beta) ** (3 - k) for k in range(4)]
        assert [(m.sigma, m.norm_ratio, m.cosine) for m in result.modules] == [(f, f, 1.0) for f in factors]


def test_older_weights_are_seen_and_only_the_rate_makes_them():
    learner = make_learner(ml.rules.ddg())
    for _ in range(8):
        learner.step(X, Y, lr=LR)
    moved, still = ml.convergence.measure(learner, X, Y), ml.convergence.measure(learner, X, Y, lr=0)
    assert learner.lr == LR and moved == ml.convergence.measure(learner, X, Y, lr=LR)
    assert still.whole.sigma == 1 and moved.whole.cosine < 1 and moved.modules[-1].sigma == 1
    assert moved.modules[0].cosine < moved.modules[-1].cosine


# ------------------------------------------------------------------ asynchronous workers


@dataclass(frozen=True)
class Scripted(Asynchronous):
    """Draws by a script, whatever the random numbers are."""

    script: tuple[int, ...] = (0, 1, 1, 2, 0, 2, 1, 0, 0, 1, 2, 2, 1, 0)

    def draw(self, rng: np.random.Generator, draws: int, workers: int) -> int:
        if draws < 2 * workers:
            return draws // 2
        return self.script[draws % len(self.script)]


@pytest.mark.parametrize("buffer", [1, 2, 3])
@pytest.mark.parametrize("steps", [5, 6, 7])  # other places of the script
def test_a_worker_applies_what_its_engine_applies(buffer, steps):
    when: Any = Scripted(buffer)
    learner = make_learner(
        ml.rules.compose(objective=ml.objectives.classifier(), boundary=ml.boundaries.closed(), when=when), 3
    )
    for _ in range(steps):
        learner.step(X, Y, lr=LR)
    engine = learner.engine
    assert isinstance(engine, AsynchronousEngine)
    traced = trained_further(learner, engine, batches, LR)
    measured = AsynchronousGradients(learner, engine, batches, LR)

    # The same again by the engine itself: further steps, then every worker's next update, which is only read.
    training = copy.deepcopy(learner)
    assert isinstance(training.engine, AsynchronousEngine)
    while sum(training.engine.updates) < sum(traced.updates):
        training.step(X, Y, lr=LR)
    assert training.engine.updates == traced.updates
    assert same({n: measured.arrays[n] for n in training.parameters()}, training.parameters())
    expected: dict[str, Array] = {}
    while len(expected) < len(learner.parameters()):
        training.engine.step(Batch(X, Y), context(training), partial(first_of_each, expected), False)
    assert same(measured.gradients(Batch(X, Y), context(learner)), expected)


def first_of_each(expected: dict[str, Array], grads: dict[str, Array]) -> None:
    """Keep the gradients of parameters that have none yet."""
    expected |= {name: g for name, g in grads.items() if name not in expected}


def test_at_initial_weights_asynchronous_modules_are_synchronous_ones():
    """No weight has moved: what the buffers hold was made by w_t. Every worker is drawn once a step, on average."""
    synchronous, asynchronous = (make_learner(ml.rules.dgl(aux="0c1f", buffer=b)) for b in (None, 2))
    assert ml.convergence.measure(synchronous, X, Y) == ml.convergence.measure(asynchronous, X, Y)


@pytest.mark.parametrize("slowed", [0, 1])
def test_a_slowed_worker_has_its_share_of_the_draws(slowed):
    """p_j / p_0 is 1/2 where j alone is slowed by a half, and 2 where only worker 0 is."""
    plain = ml.convergence.measure(make_learner(ml.rules.dgl(aux="0c1f", buffer=1)), X, Y)
    rule = ml.rules.dgl(aux="0c1f", buffer=1, slowed=slowed, noise=0.5)
    result = ml.convergence.measure(make_learner(rule), X, Y)
    factors = [1, 2, 2, 2] if slowed == 0 else [1, 0.5, 1, 1]
    for one, other, factor in zip(plain.modules, result.modules, factors, strict=True):
        assert other.sigma == factor * one.sigma and other.cosine == one.cosine


def test_older_activations_are_seen():
    learner = make_learner(ml.rules.dgl(aux="0c1f", buffer=3))
    for _ in range(9):
        learner.step(X, Y, lr=LR)
    moved, still = ml.convergence.measure(learner, X, Y), ml.convergence.measure(learner, X, Y, lr=0)
    assert still.modules[-1].sigma == 1 != moved.modules[-1].sigma
    assert moved.modules[-1].cosine < 1
