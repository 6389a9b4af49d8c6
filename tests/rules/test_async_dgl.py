"""Asynchronous DGL against a simulation: the draws, the batches that each module reads, and the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import PassContext
from minilocal.streams import stream
from tests.helpers.host import host

OBJECTIVE = ml.objectives.classifier("0c1f")


def asynchronous(**options):
    when = ml.when.asynchronous(**options)
    return ml.rules.compose("async", objective=OBJECTIVE, boundary=ml.boundaries.closed(), when=when)


def make_learner(rule, modules=3, seed=0, **more):
    net = ml.nets.mlp((12, 11, 10), classes=4, rng=ml.rng(seed), channels=2, size=3)
    return ml.Learner(net, rule, modules, rng=ml.rng(seed + 1), dtype="float64", **more)


def batches(number, images=6):
    """Each batch carries its number in its first pixel."""
    rng = ml.rng(5)
    data = [(rng.standard_normal((images, 3, 3, 2)), rng.integers(0, 4, images)) for _ in range(number)]
    for i, (x, _) in enumerate(data):
        x[0, 0, 0, 0] = i
    return data


class Overheard:
    """An objective whose forward records its module and the batch."""

    def __init__(self, inner, k, notes):
        self.inner, self.k, self.notes = inner, k, notes

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def forward(self, h, batch, run, p=None):
        self.notes.append((self.k, int(batch.x[0, 0, 0, 0])))
        return self.inner.forward(h, batch, run, p)


def record_draws(learner):
    notes: list[tuple[int, int]] = []
    for k, module in enumerate(learner.modules):
        object.__setattr__(module, "objective", Overheard(module.objective, k, notes))
    return notes


def simulated(key, K, steps, buffer, slowed=None, noise=0.0, epoch=0, small=()):
    """[(worker, batch, the draw that computed its input)] of each step, by Algorithm 2 on the same random stream."""
    shelves: list[list[list[int]]] = [[] for _ in range(K - 1)]  # [batch, uses, draw], the oldest first
    number, history = 0, []
    weights = [1 - noise if j == slowed else 1 for j in range(K)]
    for step in range(steps):
        rng, draws = stream(key, "draw", epoch, step), []
        while True:
            if number < 2 * K:
                j = number // 2
            else:
                u, j = rng.random() * sum(weights), 0
                while u >= weights[j]:
                    u -= weights[j]
                    j += 1
            if j == 0:
                b, source = step, None
            else:
                fewest = min(uses for _, uses, _ in shelves[j - 1])
                chosen = [entry for entry in shelves[j - 1] if entry[1] == fewest][-1]
                chosen[1] += 1
                b, _, source = chosen
            if j < K - 1 and b not in small:
                if len(shelves[j]) == max(1, buffer):
                    shelves[j].pop(0)
                shelves[j].append([b, 1, number])
            number += 1
            draws.append((j, b, source))
            if j == 0:
                break
        history.append(draws)
    return history


def pairs(history):
    return [[(j, b) for j, b, _ in step] for step in history]


@pytest.mark.parametrize("buffer, slowed, noise, K", [
    (0, None, 0.0, 3), (1, None, 0.0, 4), (3, None, 0.0, 3), (2, 1, 0.7, 4), (5, 0, 0.5, 2),
])  # fmt: skip
def test_the_batches_that_workers_find_are_those_of_the_simulation(buffer, slowed, noise, K):
    learner = make_learner(asynchronous(buffer=buffer, slowed=slowed, noise=noise), K)
    notes, seen = record_draws(learner), []
    for x, y in batches(25):
        notes.clear()
        losses = learner.step(x, y, lr=0.05)
        assert {k for k, _ in notes} == set(np.flatnonzero(~np.isnan(losses)))
        seen.append(list(notes))
    assert seen == pairs(simulated(learner.key, K, 25, buffer, slowed, noise))
    assert sorted({k for step in seen for k, _ in step}) == list(range(K))


def test_the_first_draws_fill_the_buffers():
    learner = make_learner(asynchronous(buffer=2), 3)
    notes = record_draws(learner)
    losses = [learner.step(x, y, lr=0.1) for x, y in batches(3)]
    assert [k for k, _ in notes][:6] == [0, 0, 1, 1, 2, 2]
    assert np.isnan(losses[0][1:]).all() and np.isnan(losses[1][1:]).all() and np.isfinite(losses[2]).all()


def test_weights_are_those_of_modules_trained_apart_on_the_predicted_batches():
    """Each worker is a network of its own under BP; what it hands up is computed before its update."""
    K, rule = 3, asynchronous(buffer=3)
    learner, data = make_learner(rule, K), batches(20)
    alone, shapes = [], [(3, 3, 2), *[learner.net.shapes[m.top] for m in learner.modules]]
    for k, module in enumerate(learner.modules):
        head = learner.net.head if k == K - 1 else module.objective.network
        net = ml.nets.Net(f"worker {k}", list(module.units), head, 4, shapes[k], learner.net.initial)
        alone.append(ml.Learner(net, ml.rules.bp(), 1, rng=ml.rng(9), dtype="float64"))
    handed: list[Any] = []  # by draw
    for step, draws in enumerate(simulated(learner.key, K, len(data), 3)):
        learner.step(*data[step], lr=0.1)
        for j, b, source in draws:
            x, y = data[b]
            h = x if j == 0 else handed[source]
            up, run = h, PassContext(key=alone[j].key)
            for unit in alone[j].net.units:
                up = unit.forward(up, run, alone[j].parameters())[0]
            handed.append(up)
            alone[j].step(h, y, lr=0.1)
    for worker in alone:
        for name, w in worker.parameters().items():
            assert (learner.parameters()[name] == w).all(), name


def test_one_module_is_backpropagation_bit_for_bit():
    one, bp = make_learner(asynchronous(buffer=4), 1), make_learner(ml.rules.bp(), 1)
    for x, y in batches(5):
        assert (one.step(x, y, lr=0.1) == bp.step(x, y, lr=0.1)).all()
    assert all((bp.parameters()[n] == w).all() for n, w in one.parameters().items())


def test_a_larger_buffer_reaches_back_further_and_a_slowed_worker_works_less():
    def ages(buffer, **options):
        learner = make_learner(asynchronous(buffer=buffer, **options), 2)
        notes = record_draws(learner)
        old, work = [], [0, 0]
        for step, (x, y) in enumerate(batches(300, images=1)):
            notes.clear()
            learner.step(x, y, lr=0.0)
            old += [step - b for k, b in notes if k == 1]
            work = [n + sum(k == j for k, _ in notes) for j, n in enumerate(work)]
        return np.array(old), work[1] / work[0]

    one, share = ages(1)
    many, _ = ages(6)
    _, slow = ages(1, slowed=1, noise=0.75)
    assert one.max() == 1 and 3 < many.max() <= 6  # a batch of M steps ago may still lie there, none older
    assert 0.8 < share < 1.25 and 0.15 < slow < 0.4


def test_batches_that_are_not_full_train_worker_0_and_are_not_stored():
    learner = make_learner(asynchronous(buffer=2), 3)
    data, notes = batches(16), record_draws(learner)
    small = {2, 9}
    for i in small:
        data[i] = (data[i][0][:4], data[i][1][:4])
    history = []
    for x, y in data:
        notes.clear()
        assert np.isfinite(learner.step(x, y, lr=0.1)[0])
        history.append(list(notes))
    assert history == pairs(simulated(learner.key, 3, 16, 2, small=small))
    assert not any(b in small and k > 0 for step in history for k, b in step)


def test_the_same_seed_draws_the_same_and_the_caller_may_reuse_its_arrays():
    a, b, other = (make_learner(asynchronous(buffer=3), seed=s) for s in (0, 0, 1))
    x0, y0 = np.empty((6, 3, 3, 2)), np.empty(6, int)
    for x, y in batches(12):
        x0[...], y0[...] = x, y
        same = a.step(x, y, lr=0.1), b.step(x0, y0, lr=0.1)
        other.step(x, y, lr=0.1)
        np.testing.assert_array_equal(*same)
    assert all((b.parameters()[n] == w).all() for n, w in a.parameters().items())
    assert any((other.parameters()[n] != w).any() for n, w in a.parameters().items())


@pytest.mark.parametrize("at", [0, 1, 2, 9])
def test_restored_in_flight_it_goes_on_bit_for_bit(at):
    data = batches(18)
    whole, first = make_learner(asynchronous(buffer=3)), make_learner(asynchronous(buffer=3))
    for x, y in data[:at]:
        whole.step(x, y, lr=0.1), first.step(x, y, lr=0.1)
    second = make_learner(asynchronous(buffer=3), seed=7)
    second.restore(first.state())
    for x, y in data[at:]:
        np.testing.assert_array_equal(whole.step(x, y, lr=0.1), second.step(x, y, lr=0.1))
    left, right = whole.state(), second.state()
    assert list(left) == list(right)
    for name, a in left.items():
        assert a.dtype == right[name].dtype and (a == right[name]).all(), name


def test_a_checkpoint_of_larger_buffers_is_refused():
    big = make_learner(asynchronous(buffer=3))
    for x, y in batches(4):
        big.step(x, y, lr=0.1)
    with pytest.raises(ml.UserError, match="buffers of 1 batches"):
        make_learner(asynchronous(buffer=1)).restore(big.state())


def test_dropout_masks_differ_between_the_draws_of_one_step():
    """A worker drawn twice in one step has two random keys; K = 1 keeps BP's."""
    learner, names = make_learner(asynchronous(buffer=2), 2), []
    unit = learner.modules[1].units[0]

    class Spy:
        def __getattr__(self, name):
            return getattr(unit, name)

        def forward(self, h, run, p=None):
            names.append((run.step, run.part))
            return unit.forward(h, run, p)

    learner.modules[1].units[0] = Spy()
    for x, y in batches(20):
        learner.step(x, y, lr=0.1)
    assert len(names) > len({step for step, _ in names}) and len(set(names)) == len(names)


def test_a_workers_loss_is_the_mean_of_its_batches_of_the_step(monkeypatch):
    learner = make_learner(asynchronous(buffer=2), 3)
    own: list[list[float]] = [[] for _ in range(3)]
    work = type(learner._engine)._work

    def noted(self, j, *args):
        loss = work(self, j, *args)
        own[j].append(float(loss))
        return loss

    monkeypatch.setattr(type(learner._engine), "_work", noted)
    most = 0
    for x, y in batches(20):
        for of_worker in own:
            of_worker.clear()
        losses = host(learner.step(x, y, lr=0.1))
        means = np.array([np.mean(of_worker) if of_worker else np.nan for of_worker in own])
        np.testing.assert_allclose(losses, means, rtol=4e-16 * max(map(len, own)))
        most = max(most, *map(len, own))
    assert most > 1


@pytest.mark.parametrize("options, says", [
    ({"buffer": -1}, "buffer = -1"), ({"buffer": 1.5}, "buffer = 1.5"), ({"slowed": 0, "noise": 1.0}, "outside"),
    ({"noise": 0.5}, "slowed worker's number"), ({"slowed": 1}, "noise above 0"),
    ({"slowed": -1, "noise": 0.5}, "slowed = -1"),
    ({"slowed": True, "noise": 0.5}, "slowed = True"), ({"slowed": 1.5, "noise": 0.5}, "slowed = 1.5"),
])  # fmt: skip
def test_wrong_draws_are_one_line(options, says):
    with pytest.raises(ml.UserError, match=says) as error:
        ml.when.asynchronous(**options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("answers", [
    {"boundary": ml.boundaries.open()}, {"objective": OBJECTIVE, "boundary": ml.boundaries.link(1)},
    {"boundary": ml.boundaries.synthetic_gradient()}, {"boundary": ml.boundaries.delayed()},
    {"objective": OBJECTIVE, "boundary": ml.boundaries.closed(), "accumulate": 2},
])  # fmt: skip
def test_only_local_rules_can_be_asynchronous(answers):
    with pytest.raises(ml.UserError) as error:
        ml.rules.compose("x", when=ml.when.asynchronous(), **answers)
    assert "\n" not in str(error.value)


def test_the_rule_by_name_takes_a_buffer_and_refuses_slowness_without_one():
    rule = ml.rules.get("dgl", aux="0c1f", buffer=3, slowed=1, noise=0.5)
    assert (rule.when, rule.name) == (
        ml.when.asynchronous(3, 1, 0.5),
        "asynchronous DGL",
    ) and "drawn" in rule.describe()
    assert ml.rules.dgl().name == "DGL" and rule.least_batches(3) == 3
    for slowness in ({"slowed": 1, "noise": 0.5}, {"slowed": 0}, {"noise": 0.5}):
        with pytest.raises(ml.UserError, match="give a buffer too"):
            ml.rules.get("dgl", **slowness)


def test_a_slowed_worker_must_be_there_and_there_is_no_gradient_of_one_batch():
    with pytest.raises(ml.UserError, match="workers 0 to 2"):
        make_learner(asynchronous(slowed=3, noise=0.5))
    with pytest.raises(ml.UserError, match="use step"):
        make_learner(asynchronous()).gradients(*batches(1)[0])
