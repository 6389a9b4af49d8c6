"""`gradients` updates, commits and counts nothing, and its result is the slope of the losses."""

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.array import Array
from minilocal.verify.small_nets import with_dropout
from minilocal.verify.synchronous import learner, named
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3))
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))
RULES = [
    ml.rules.bp(), ml.rules.bp(keep="inputs"), ml.rules.bp(accumulate=3), ml.rules.gll(aux="1c2f"),
    ml.rules.backlink(length=2), ml.rules.backlink(length=1, keep="inputs"),
]  # fmt: skip


def equal(a: Array, b: Array) -> bool:
    """Bit for bit; where a module has no loss, both are NaN."""
    return np.array_equal(host(a), host(b), equal_nan=True)


def close(a: Array, b: Array) -> bool:
    return np.allclose(host(a), host(b), rtol=0, atol=1e-14)


def make(rule: ml.rules.Rule, net: ml.nets.Net = NET, modules: int = 2) -> ml.Learner:
    optimizer = ml.optim.SGD(momentum=0.9, weight_decay=1e-3)
    return ml.Learner(net, rule, modules, rng=ml.rng(0), dtype="float64", optimizer=optimizer)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name} {rule.keep} {rule.accumulate}")
def test_asking_changes_nothing_and_asking_again_answers_the_same(rule):
    asked, silent = make(rule), make(rule)
    for _ in range(2):
        before = asked.state()
        losses, grads = asked.gradients(X, Y)
        again, more = asked.gradients(X, Y)
        after = asked.state()
        assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)
        assert equal(losses, again) and all(np.array_equal(host(grads[n]), host(more[n])) for n in grads)
        assert equal(asked.step(X, Y, lr=0.05), silent.step(X, Y, lr=0.05))
    ours, theirs = asked.state(), silent.state()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name} {rule.keep} {rule.accumulate}")
def test_a_step_is_the_gradients_the_optimiser_and_one_commit(rule):
    """Every weight moves from where it was when the step began, the running statistics once."""
    learner = make(rule)
    grads = learner.gradients(X, Y)[1]
    start = {name: a.copy() for name, a in learner.parameters().items()}
    buffers = {name: a.copy() for name, a in learner.buffers().items()}
    learner.step(X, Y, lr=0.05)
    for name, w in learner.parameters().items():
        assert close(w, start[name] - 0.05 * (grads[name] + 1e-3 * start[name]))
    mean = NET.units[0].children()[0].forward(X, ml.layers.PassContext(), start)[0].mean(axis=(0, 1, 2))
    if rule.accumulate == 1:
        once = 0.9 * buffers["bn1.running_mean"] + 0.1 * mean
        assert np.allclose(host(learner.buffers()["bn1.running_mean"]), host(once), atol=1e-14)


@pytest.mark.parametrize("modules", [2, 4])
def test_glls_gradients_are_slopes_of_each_modules_loss(modules):
    asked = make(ml.rules.gll(), modules=modules)
    _, grads = asked.gradients(X, Y)
    start, rng, eps = {n: a.copy() for n, a in asked.parameters().items()}, ml.rng(2), 1e-6
    for k, module in enumerate(asked.modules):
        assert module.objective is not None
        u = {n: rng.standard_normal(start[n].shape) for n in (*module.parameters(), *module.objective.parameters)}

        def at(s: float, u: dict[str, np.ndarray] = u, k: int = k) -> float:
            asked.load({n: start[n] + s * d for n, d in u.items()})
            return float(asked.gradients(X, Y)[0][k])

        forth, back = (at(eps) - at(-eps)) / (2 * eps), float(sum((grads[n] * d).sum() for n, d in u.items()))
        asked.load({n: start[n] for n in u})
        assert abs(forth - back) <= 1e-6 * abs(back)


@pytest.mark.parametrize("m", [2, 3])
def test_accumulation_is_the_mean_over_micro_batches(m):
    """Each with its own batch statistics; with equal parts, the plain mean of the parts' gradients."""
    whole, alone = make(ml.rules.bp(accumulate=m)), make(ml.rules.bp())
    losses, grads = whole.gradients(X, Y)
    parts = [alone.gradients(X[i::1][: 6 // m], Y[i::1][: 6 // m]) for i in range(0, 6, 6 // m)]
    for name in grads:
        mean: Any = sum(g[name] for _, g in parts) / m
        assert close(grads[name], mean)
    assert np.isclose(float(losses[-1]), float(sum(micro[-1] for micro, _ in parts)) / m, rtol=1e-14)


def test_accumulation_is_bp_where_no_batch_norm_mixes_the_samples():
    net = ml.nets.mlp((9, 8), classes=4, size=8, rng=ml.rng(0))
    whole, parts = make(ml.rules.bp(), net).gradients(X, Y)[1], make(ml.rules.bp(accumulate=4), net).gradients(X, Y)[1]
    assert all(close(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize("keep", ["caches", "inputs"])
def test_a_unit_computed_again_meets_its_own_dropout(keep):
    """Every rule, both ways of keeping: the masks have names, so the same bits come out; the next step draws others."""
    net, x, y = with_dropout(ml.rng(0)), X[:, :3, :3, :2], Y
    linked = make(ml.rules.backlink(length=2, alpha=0.25, keep=keep), net).gradients(x, y)[1]
    plain = make(ml.rules.backlink(length=2, alpha=0.25), net)
    assert all(np.array_equal(host(linked[name]), host(g)) for name, g in plain.gradients(x, y)[1].items())
    first = plain.gradients(x, y)[0]
    plain.step(x, y, lr=0.0)
    assert not equal(first, plain.gradients(x, y)[0])


def test_the_cases_of_verify_are_what_they_say():
    ours = learner(named("backlink", "resnet8", 2, length=2))
    boundary = ours.rule.boundary
    assert isinstance(boundary, ml.boundaries.link) and boundary.length == 2
    assert ours.dtype == "float64" and len(ours.modules) == 2
