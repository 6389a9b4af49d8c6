"""FDG: a replay by the paper's indices, both delayed rules' tables, the staleness of weights, and shrinking."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.layers import Flatten, Layer, Linear, PassContext, Sequential
from minilocal.layers.initial import Initializer
from minilocal.nets import Net
from minilocal.optim import SGD
from minilocal.verify.compare import DOUBLE
from minilocal.verify.jax_cpu import jax_on_cpu
from tests.rules.delays import MODES, batches, make_learner, net, replayed, same, statistics_move_once, weights

STEPS = 14


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("K", [2, 3, 4])
@pytest.mark.parametrize("name", ["mlp", "narrow"])
def test_fdg_is_its_replay(name, K, mode):
    with jax_on_cpu():
        learner = make_learner(net(name), ml.rules.fdg(beta=0.7, backward_weights=mode), K)
        worst = replayed(learner, STEPS, 0.05, delayed_activations=True, beta=0.7, backward_weights=mode)
    assert worst <= DOUBLE


def test_fdg_on_resnet8_is_its_replay():
    with jax_on_cpu():
        assert replayed(make_learner(net("resnet8"), ml.rules.fdg(), 4), 12, 0.05, delayed_activations=True) <= DOUBLE


def test_masks_of_dropout_are_the_old_batchs():
    with jax_on_cpu():
        learner = make_learner(net("dropout"), ml.rules.fdg(backward_weights="recompute"), 4)
        run = lambda b: PassContext(key=learner.key, step=b)  # noqa: E731
        assert replayed(learner, 12, 0.05, delayed_activations=True, backward_weights="recompute", ctx=run) <= DOUBLE


@pytest.mark.parametrize("mode", MODES)
def test_one_module_is_bp_bit_for_bit_once_drained(mode):
    fdg, bp = (
        make_learner(net("narrow"), ml.rules.fdg(backward_weights=mode), 1),
        make_learner(net("narrow"), ml.rules.bp(), 1),
    )
    for x, y in batches(net("narrow"), 5):
        assert (fdg.step(x, y, lr=0.1) == bp.step(x, y, lr=0.1)).all()
    assert not same(fdg, bp)
    fdg.finish()
    assert same(fdg, bp)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["narrow", "dropout"])
def test_two_modules_make_the_weights_of_ddg_bit_for_bit(name, mode):
    rules = ml.rules.ddg(backward_weights=mode), ml.rules.fdg(backward_weights=mode)
    ddg, fdg = (make_learner(net(name), rule, 2) for rule in rules)
    for x, y in batches(net(name), 7):
        for learner in (ddg, fdg):
            learner.step(x, y, lr=0.1)
    assert not same(ddg, fdg)
    for learner in (ddg, fdg):
        learner.finish()
    assert same(ddg, fdg)


def test_three_modules_do_not():
    ddg, fdg = (make_learner(net("mlp"), rule, 3) for rule in (ml.rules.ddg(), ml.rules.fdg()))
    for x, y in batches(net("mlp"), 7):
        for learner in (ddg, fdg):
            learner.step(x, y, lr=0.1)
    for learner in (ddg, fdg):
        learner.finish()
    assert not same(ddg, fdg)


# ---------------------------------------------------------------------- the tables of when


@dataclass(frozen=True)
class Clock(SGD):
    """SGD with a count of the updates of every array, and the ids of the updated arrays in `seen`."""

    counts: Counter[int] = field(default_factory=Counter)
    seen: list[int] = field(default_factory=list)

    def update(self, moves, lr):
        for w, _, _ in moves:
            self.seen.append(id(w))
        super().update(moves, lr)
        self.counts.update(id(w) for w, _, _ in moves)


class Probe(Linear):
    """A linear layer whose cache has its batch's number, and the number of updates of its weight before the forward."""

    clock: Clock

    def forward(self, x, run, p=None):
        y, cache = super().forward(x, run, p)
        w = id(p[f"{self.name}.weight"])
        self.forwarded = run.step
        return y, (cache, w, run.step, self.clock.counts[w])

    def backward(self, dy, cache, p=None, need="both"):
        self.latest = cache[1:]
        return super().backward(dy, cache[0], p, need)


def diary(rule, K, steps):
    """Per iteration, and module: (batch forwarded, batch whose gradient was applied, staleness, batches waiting)."""
    clock, initial = Clock(momentum=0.0), Initializer(1, "framework")
    widths = [18, *[5] * (K - 1), 4]
    sizes = enumerate(pairwise(widths))
    probes = [Probe(a, b, initial, name=f"layers.{i}", bias=False) for i, (a, b) in sizes]
    for probe in probes:
        probe.clock = clock
    units: list[Layer] = [Sequential([Flatten(), probes[0]]), *(Sequential([probe]) for probe in probes[1:])]
    network = Net("probes", units, Sequential([], "head"), 4, (3, 3, 2), initial)
    learner = ml.Learner(network, rule, K, rng=ml.rng(0), dtype="float64", optimizer=clock)
    names = {id(learner.parameters()[f"{probe.name}.weight"]): k for k, probe in enumerate(probes)}
    rows = []
    applied: list[list[int | None]] = [[] for _ in range(K)]

    class Seen(list[int]):
        def append(self, w):
            _, number, then = probes[names[w]].latest
            applied[names[w]] = [number, clock.counts[w] - then]

    object.__setattr__(clock, "seen", Seen())
    for x, y in batches(network, steps):
        applied = [[None, None] for _ in range(K)]
        for probe in probes:
            probe.forwarded = None
        learner.step(x, y, lr=0.01)
        rows.append([(p.forwarded, *a, w) for p, a, w in zip(probes, applied, learner.in_flight, strict=True)])
    learner.finish(0.01)
    assert learner.in_flight == [0] * K and set(clock.counts.values()) == {steps}, (
        "once drained, every batch was learned from"
    )
    return rows


def column(rows, k, what):
    return [row[k - 1][what] for row in rows]


FORWARDED, APPLIED, STALENESS, WAITING = range(4)
_: None = None


def test_the_table_of_ddg():
    rows = diary(ml.rules.ddg(), 3, 7)
    assert [column(rows, k, APPLIED)[:5] for k in (1, 2, 3)] == [[_, _, 0, 1, 2], [_, 0, 1, 2, 3], [0, 1, 2, 3, 4]]
    assert [column(rows, k, STALENESS)[:6] for k in (1, 2, 3)] == [[_, _, 0, 1, 2, 2], [_, 0, 1, 1, 1, 1], [0] * 6]
    assert all(column(rows, k, FORWARDED) == list(range(7)) for k in (1, 2, 3))


def test_the_table_of_fdg():
    """Algorithm I by hand; iterations and batches count from 1."""
    rows = diary(ml.rules.fdg(), 3, 9)
    batch = lambda k, what, n: [b if b is None else b + 1 for b in column(rows, k, what)[:n]]  # noqa: E731
    assert [batch(k, FORWARDED, 6) for k in (1, 2, 3)] == [[1, 2, 3, 4, 5, 6], [_, 1, 2, 3, 4, 5], [_, _, 1, 2, 3, 4]]
    assert [batch(k, APPLIED, 7) for k in (1, 2, 3)] == [
        [_, _, _, _, 1, 2, 3], [_, _, _, 1, 2, 3, 4], [_, _, _, 1, 2, 3, 4],
    ]  # fmt: skip
    assert [column(rows, k, WAITING)[-1] for k in (1, 2, 3)] == [4, 2, 0]
    assert [column(rows, k, STALENESS)[-1] for k in (1, 2, 3)] == [3, 1, 0]


@pytest.mark.parametrize("K", [2, 3, 4])
def test_how_stale_weights_are_and_how_many_batches_wait(K):
    """With the forward before the update, delays are FDG's, and weights are staler: 2(K-k) updates, not one less."""
    steps = 4 * K
    wrong = ml.rules.compose(boundary=ml.boundaries.delayed(activations=1), when=ml.when.always(first="forward"))
    ddg, fdg, forward_first = (diary(rule, K, steps)[-1] for rule in (ml.rules.ddg(), ml.rules.fdg(), wrong))
    for k in range(1, K + 1):
        distance = K - k
        assert (ddg[k - 1][STALENESS], ddg[k - 1][WAITING]) == (distance, distance)
        assert (fdg[k - 1][STALENESS], fdg[k - 1][WAITING]) == (max(0, 2 * distance - 1), 2 * distance)
        assert (forward_first[k - 1][STALENESS], forward_first[k - 1][WAITING]) == (2 * distance, 2 * distance)


# ---------------------------------------------------------------------- warm-up and shrinking


@pytest.mark.parametrize("mode", MODES)
def test_a_module_stands_still_until_its_first_error_and_then_takes_bps_gradient_of_batch_0(mode):
    K, learner = 4, make_learner(net("narrow"), ml.rules.fdg(backward_weights=mode), 4, weight_decay=0.0)
    data = batches(net("narrow"), 2 * K - 1)
    moved: dict[str, Any] = {}
    true = make_learner(net("narrow"), ml.rules.bp(), K).gradients(*data[0])[1]
    for g, (x, y) in enumerate(data, 1):
        learner.step(x, y, lr=0.0)
        for name in learner._training.optimizer_states:
            moved.setdefault(name, (g, learner._training.optimizer_states[name]["v"].copy()))
    for k, module in enumerate(learner.modules, 1):
        for name in [*module.parameters(), *(module.objective.parameters if module.objective else ())]:
            g, grad = moved[name]
            assert g == (2 * K - k if k < K else K + 1) and (grad == true[name]).all(), name


@pytest.mark.parametrize("rule", [ml.rules.ddg(), ml.rules.fdg()], ids=["ddg", "fdg"])
def test_with_two_modules_the_first_gradient_is_bps_though_weights_have_begun_to_move(rule):
    learner, data = make_learner(net("narrow"), rule, 2, weight_decay=0.0), batches(net("narrow"), 3)
    true = make_learner(net("narrow"), ml.rules.bp(), 2).gradients(*data[0])[1]
    names = learner.modules[0].parameters()
    for x, y in data:
        learner.step(x, y, lr=0.1)
        if names[0] in learner._training.optimizer_states:
            break
    assert all((learner._training.optimizer_states[name]["v"] == true[name]).all() for name in names)


def test_before_the_first_error_there_is_neither_decay_nor_momentum():
    learner, K = make_learner(net("mlp"), ml.rules.fdg(), 4), 4
    start = weights(learner)
    for g, (x, y) in enumerate(batches(net("mlp"), 9), 1):
        learner.step(x, y, lr=0.1)
        for k, module in enumerate(learner.modules, 1):
            still = all((learner.parameters()[name] == start[name]).all() for name in module.parameters())
            assert still == (g < (2 * K - k if k < K else K + 1))


def test_the_first_gradient_is_linear_in_beta_to_the_power_of_the_boundaries_crossed():
    K = 4
    firsts: dict[tuple[str, float], np.ndarray] = {}
    for beta in (1.0, 0.3):
        learner = make_learner(net("mlp"), ml.rules.fdg(beta=beta), K, weight_decay=0.0, momentum=0.0001)
        for x, y in batches(net("mlp"), 2 * K):
            learner.step(x, y, lr=0.0)
            for name, state in learner._training.optimizer_states.items():
                firsts.setdefault((name, beta), state["v"].copy())
    for k, module in enumerate(learner.modules, 1):
        for name in module.parameters():
            np.testing.assert_allclose(firsts[name, 0.3], 0.3 ** (K - k) * firsts[name, 1.0], rtol=1e-12, atol=0)
    assert ml.rules.fdg(beta=0.3).boundary.beta == 0.3 and "times 0.3" in ml.rules.fdg(beta=0.3).describe()


@pytest.mark.parametrize("mode", MODES)
def test_running_statistics_move_once_per_forward(mode):
    statistics_move_once(ml.rules.fdg(backward_weights=mode))


def test_float32_stays_float32(monkeypatch):
    learner = make_learner(net("narrow"), ml.rules.fdg(beta=0.5), 3, dtype="float32")
    kind, dtypes = type(learner.modules[0]), []
    backward = kind.backward

    def noted(module, error, *more):
        dtypes.append(error.dtype)
        return backward(module, error, *more)

    monkeypatch.setattr(kind, "backward", noted)
    for x, y in batches(net("narrow"), 7, "float32"):
        learner.step(x, y, lr=0.1)
    arrays = {
        name: a for name, a in learner.state().items() if not name.startswith("count:")
    }  # counts are Python numbers
    floats = {a.dtype for a in arrays.values() if a.dtype.kind == "f"}
    assert floats | set(dtypes) == {np.dtype("float32")}


@pytest.mark.parametrize("beta", [0, -0.1, 1.01, True, "half", float("nan")])
def test_a_beta_outside_its_range_is_refused(beta):
    with pytest.raises(ml.UserError, match=r"outside \(0, 1\]") as caught:
        ml.rules.fdg(beta=beta)
    assert "\n" not in str(caught.value)


def test_how_many_batches_a_run_needs():
    assert [ml.rules.ddg().least_batches(K) for K in (1, 2, 16)] == [1, 2, 16]
    assert [ml.rules.fdg().least_batches(K) for K in (1, 2, 16)] == [2, 3, 31]
    assert ml.rules.gll().least_batches(16) == 1
    for rule, K in ((ml.rules.ddg(), 4), (ml.rules.fdg(), 4), (ml.rules.fdg(), 1)):
        learner = make_learner(net("mlp"), rule, K)
        start, least = weights(learner), rule.least_batches(K)
        for number, (x, y) in enumerate(batches(net("mlp"), least), 1):
            learner.step(x, y, lr=0.1)
            assert all((a != start[n]).any() for n, a in learner.parameters().items()) == (number == least)


RECIPES = {
    "ddg": ("resnet110", [27, 28], ("sgd", 0.01, "steps:150,225", 0.9, True, 5e-4, 128, 300)),
    "fdg": ("resnet56", 4, ("sgd", 0.1, "hold:3:0.01+steps:150,225,275", 0.9, False, 5e-4, 128, 300)),
    "dni": ("alexnet", 4, ("adam", 3e-5, "constant", None, False, 0.0, 256, 2000)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_presets_are_the_published_recipes(name):
    from minilocal.cli.train import preset_source
    from minilocal.config import resolve

    config, _ = resolve([preset_source(name)])
    o, (network, modules, recipe) = config.optim, RECIPES[name]
    assert (config.rule.name, config.net.name, config.net.modules, config.data.name) == (
        name,
        network,
        modules,
        "cifar10",
    )
    asked = (o.name, o.lr, o.schedule, o.momentum, o.nesterov, o.weight_decay, o.batch_size, o.epochs)
    assert asked == recipe and config.data.augment
