"""The costs of modules: by hand, as the engine keeps them, and the cut that they lead to."""

from __future__ import annotations

import time
from itertools import accumulate
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import costs, streams
from minilocal.costs import passes
from minilocal.layers import Flatten, GlobalAveragePool, Layer, Linear, Sequential
from minilocal.layers.initial import Initializer
from minilocal.memory import CPU
from minilocal.memory.per_module import KeptBytes
from minilocal.objectives.behind import macs_behind

R = ml.rules
NET = ml.nets.resnet(20, rng=ml.rng(0))  # 10 units


def every_cut(units: int, modules: int) -> list[list[int]]:
    if modules == 1:
        return [[units]]
    return [[n, *rest] for n in range(1, units - modules + 2) for rest in every_cut(units - n, modules - 1)]


# ---------------------------------------------------------------------- multiply-adds


def test_the_multiply_adds_of_bp_are_three_forward_passes():
    of_modules = costs.measure(NET, R.bp(), 4, "flops").of([3, 3, 2, 2])
    assert sum(of_modules) == 3 * NET.macs
    inputs = [NET.shape, *NET.shapes]
    assert of_modules[1] == 3 * sum(NET.units[u].macs(inputs[u]) for u in (3, 4, 5))


def test_multiply_adds_by_hand():
    """A linear unit uses each weight once: 12·8 in the first, then 8·8; the auxiliary classifier has 8·4."""
    net = ml.nets.mlp((8, 8), classes=4, size=2, rng=ml.rng(0))
    assert [unit.macs(shape) for unit, shape in zip(net.units, [(2, 2, 3), (8,)], strict=False)] == [96, 64]
    head = sum(layer.macs((8,)) for layer in net.head.layers)
    last = 3 * head + 3 * sum(u.macs((8,)) for u in net.units[2:])
    measured = {name: costs.measure(net, rule, 2, "flops").of([1, len(net.units) - 1]) for name, rule in RULES.items()}
    assert measured["bp"] == [3 * 96, 3 * 64 + last]
    assert measured["bp, inputs"] == [4 * 96, 3 * 64 + last]
    assert measured["gll"] == [3 * (96 + 32), 3 * 64 + last]
    assert measured["backlink"] == [3 * (96 + 32), 3 * 64 + last + 3 * 96]
    assert measured["fdg, recompute"] == [4 * 96, 3 * 64 + last]
    assert measured["predsim"] == [3 * (96 + 64 + 32), 3 * 64 + last]
    assert measured["dni"][0] == 3 * (96 + 64 + 64) and measured["dni"][1] == 3 * 64 + last


RULES = {
    "bp": R.bp(),
    "bp, inputs": R.bp(keep="inputs"),
    "gll": R.gll(),
    "backlink": R.backlink(length=1),
    "fdg, recompute": R.fdg(backward_weights="recompute"),
    "predsim": R.predsim(),
    "dni": R.dni(),
}


def test_an_own_objective_uses_each_weight_once():
    own = SimpleNamespace(parameters={"w": np.zeros((3, 5), "float32"), "b": np.zeros(5, "float32")})
    assert macs_behind(own, (3,)) == 15


def test_a_branch_that_is_not_computed_costs_nothing():
    both, one = (R.infopro(lambdas=(1.0, ixy, 1.0, 1.0)) for ixy in (1.0, 0.0))
    with_both, with_one = (costs.measure(NET, rule, 3, "flops").of([4, 3, 3]) for rule in (both, one))
    assert with_both[0] > with_one[0] and with_both[1:] == with_one[1:]


# ---------------------------------------------------------------------- bytes


def kept(rule: ml.rules.Rule, cut: list[int], images: int) -> KeptBytes:
    """What each module keeps in a step of the engine, on abstract arrays."""
    machine = CPU()
    learner = ml.Learner(NET, rule, cut, rng=ml.rng(0), device=machine.library)
    machine.prepare(learner)
    x: Any = machine.library.empty((images, *NET.shape), "float32")
    y: Any = machine.library.empty((images,), int)
    for _ in range(rule.least_batches(len(cut)) - 1):
        learner.step(x, y, lr=0.0)
    with KeptBytes(learner, (x, y)) as result:
        learner.step(x, y, lr=0.0)
    return result


@pytest.mark.parametrize(
    "rule",
    [
        R.bp(), R.bp(keep="inputs"), R.gll(), R.gll(aux="1c2f+bn"), R.dgl(), R.predsim(), R.pgl(), R.dni(),
        R.infopro(lambdas=(1.0, 0.0, 1.0, 1.0)), R.backlink(length=0),
    ],
    ids=lambda rule: rule.name,
)  # fmt: skip
@pytest.mark.parametrize("cut", [[3, 3, 2, 2], [1, 6, 2, 1]], ids=str)
def test_the_bytes_are_those_that_the_engine_keeps(rule, cut):
    assert costs.measure(NET, rule, 4, "memory", images=8).of(cut) == kept(rule, cut, 8).peak


@pytest.mark.parametrize("length", [1, 2])
def test_a_module_keeps_the_linked_units_of_the_module_below_too(length):
    """While module k works, the engine holds them for module k-1: what waits there, but for the input of module k."""
    cut, rule = [3, 3, 2, 2], R.backlink(length=length)
    engine = kept(rule, cut, 8)
    edges = list(accumulate(cut, initial=0))
    outputs = [8 * 4 * int(np.prod(shape)) for shape in NET.shapes]
    copied = [0] + [outputs[first - length - 1] * (first > length) for first in edges[1:-1]]  # their inputs
    expected = [
        own + copy + below for own, copy, below in zip(engine.peak, copied, [0, *engine.waiting[:-1]], strict=True)
    ]
    measured = costs.measure(NET, rule, 4, "memory", images=8).of(cut)
    for k in range(4):
        assert abs(measured[k] - expected[k]) <= outputs[0], (k, measured, expected)
    again = costs.measure(NET, R.backlink(length=length, keep="inputs"), 4, "memory", images=8).of(cut)
    assert again[0] == engine.peak[0] and all(a == p + c for a, p, c in zip(again, engine.peak, copied, strict=True))


def test_the_contexts_of_a_module_that_is_linked_whole_cost_the_module_above_too():
    """They are a part of its copies. The lowest module has none."""

    def of_contexts(by: Any, length: Any) -> list[float]:
        """What each module costs more with contexts than without."""
        link, classifier = ml.boundaries.link(length), ml.objectives.classifier("0c1f")
        rules = [R.compose("linked", objective=classifier, boundary=link, context=each) for each in ("image", "none")]
        both = [costs.measure(NET, rule, 4, by, images=8).of([3, 3, 2, 2]) for rule in rules]
        return [more - less for more, less in zip(*both, strict=True)]

    _, *own = of_contexts("flops", 1)
    assert of_contexts("flops", "module") == [0, own[0], own[1] + own[0], own[2] + own[1]]
    _, *own = of_contexts("memory", 1)
    _, *whole = of_contexts("memory", "module")
    assert whole[0] == own[0] and whole[1] > own[1] and whole[2] > own[2]


@pytest.mark.parametrize("rule", [R.ddg(), R.fdg(), R.fdg(backward_weights="recompute")], ids=lambda rule: rule.kept)
def test_the_bytes_of_a_rule_with_delays(rule):
    """What waits between two iterations, and the batch that is worked on; the engine's labels are left out."""
    cut = [3, 3, 2, 2]
    engine, measured = kept(rule, cut, 8), costs.measure(NET, rule, 4, "memory", images=8).of(cut)
    for k in range(3):
        assert engine.waiting[k] <= 1.02 * measured[k] and measured[k] <= 1.1 * (engine.waiting[k] + engine.peak[k])


@pytest.mark.parametrize(("modules", "published"), [(2, [16, 39]), (3, [11, 11, 33]), (4, [8, 8, 12, 27])])
def test_infopros_memory_balanced_splits_of_resnet_110_are_met_but_for_a_block(modules, published):
    """Each edge is two units from the published one at most."""
    net, rule = ml.nets.resnet(110, rng=ml.rng(0)), R.infopro(lambdas="resnet110-cifar10-star")
    cut = costs.measure(net, rule, modules, "memory", images=4).cut()
    assert ml.split.infopro_star(110, modules) == published
    edges, theirs = list(accumulate(cut)), list(accumulate(published))
    assert max(abs(a - b) for a, b in zip(edges, theirs, strict=True)) <= 2


class ReadsNumbers(Layer):
    """A layer that looks at its input."""

    def forward(self, x, ctx, p=None):
        return x * float(x.max()), None

    def backward(self, dy, cache, p=None, need="both"):
        return dy, {}


def test_bytes_that_are_not_known_are_refused_in_a_line():
    initial = Initializer(0, "framework")
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(3, 4, initial, name="fc")], "head")
    net = ml.nets.Net("own", [ReadsNumbers("a"), ReadsNumbers("b")], head, 4, (4, 4, 3), initial)
    with pytest.raises(ml.UserError) as caught:
        costs.measure(net, R.bp(), 2, "memory")
    assert "a layer of own reads numbers" in str(caught.value) and "\n" not in str(caught.value)


# ---------------------------------------------------------------------- seconds


class Timed(Layer):
    """A layer that takes a stated time by a clock of the test's own, longer at first."""

    now = 0.0

    def __init__(self, name: str, forward: float, backward: float, kind: int = 0) -> None:
        super().__init__(name)
        self.seconds, self.calls = (forward, backward), 0
        self.parameters = {f"{name}.w": np.zeros((1, kind + 1), "float32")}

    def spend(self, seconds: float) -> None:
        self.calls += 1
        Timed.now += seconds * (3 if self.calls < 3 else 1)

    def forward(self, x, ctx, p=None):
        self.spend(self.seconds[0])
        return x + 0, None

    def backward(self, dy, cache, p=None, need="both"):
        self.spend(self.seconds[1])
        return dy, {}


def timed_net(*units: Timed) -> ml.nets.Net:
    initial = Initializer(0, "framework")
    head = Sequential([GlobalAveragePool(), Flatten(), Linear(3, 4, initial, name="fc")], "head")
    return ml.nets.Net("timed", list(units), head, 4, (4, 4, 3), initial)


def test_the_seconds_of_a_unit_are_its_fastest_passes(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: Timed.now)
    net = timed_net(Timed("a", 2, 2, 0), Timed("b", 5, 4, 1), Timed("c", 2, 1, 2))
    measured = costs.measure(net, R.bp(), 2, "time", images=2)
    assert measured.units == pytest.approx([4, 9, 3]) and measured.cut() == [1, 2]
    assert measured.of([2, 1]) == pytest.approx([13, 3])
    linked = costs.measure(net, R.backlink(length=1), 2, "time", images=2)
    assert linked.of([2, 1]) == pytest.approx([13, 3 + 9]) and linked.of([1, 2]) == pytest.approx([4, 12 + 4])


def test_units_of_one_kind_are_measured_once(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: Timed.now)
    units = [Timed(name, 1, 1) for name in "abcd"]
    assert costs.measure(timed_net(*units), R.bp(), 2, "time", images=2).cut() == [2, 2]
    assert [unit.calls for unit in units] == [2 * passes.REPEATS, 0, 0, 0]


@pytest.mark.parametrize("name", ["gll", "dni", "infopro", "ddg"])
def test_seconds_are_measured_under_every_kind_of_rule(name):
    net = ml.nets.resnet(8, size=8, rng=ml.rng(0))
    measured = costs.measure(net, R.get(name), 2, "time", images=2, dtype="float64")
    assert all(seconds > 0 for seconds in measured.of(measured.cut()))


# ---------------------------------------------------------------------- the cut


@pytest.mark.parametrize("by", ["flops", "memory"])
@pytest.mark.parametrize("rule", [R.gll(aux="1c2f"), R.dgl(), R.fdg(), R.dni()], ids=lambda rule: rule.name)
def test_no_other_cut_has_a_cheaper_largest_module(by, rule):
    measured = costs.measure(NET, rule, 3, by, images=4)
    assert max(measured.of(measured.cut())) == min(max(measured.of(cut)) for cut in every_cut(10, 3))


def test_with_a_link_of_one_unit_too():
    measured = costs.measure(NET, R.backlink(length=1), 3, "flops")
    assert max(measured.of(measured.cut())) == min(max(measured.of(cut)) for cut in every_cut(10, 3))


def test_a_cut_avoids_modules_without_an_objective():
    """InfoPro rebuilds the image from maps, and the last three units of this network are fully connected."""
    net = ml.nets.alexnet(rng=ml.rng(0))
    measured = costs.measure(net, R.infopro(), 4, "memory", images=4)
    learner = ml.Learner(net, R.infopro(), measured.cut(), rng=ml.rng(0))
    tops = [module.top for module in learner.modules]
    assert all(len(net.shapes[top]) == 3 for top in tops[:-1])


def test_costs_are_plain_numbers_and_take_no_random_numbers_of_the_users():
    rng = streams.rng(0)
    modules: Any = np.int64(4)
    measured = costs.measure(NET, R.gll(), modules, "flops")
    assert all(type(cost) is float for cost in measured.of(measured.cut()))
    assert rng.integers(10**9) == streams.rng(0).integers(10**9)


@pytest.mark.parametrize(
    ("by", "modules", "line"),
    [
        ("tiem", 4, "balance 'tiem' is not known; did you mean 'time'? Known: time, memory, flops."),
        ("flops", 0, "modules = 0: give a whole number, 1 or more."),
        ("flops", [5, 5], "modules = [5, 5]: give a whole number"),
        ("flops", 11, "K = 11 modules for a network of 10 units: give 1 to 10."),
    ],
)
def test_what_is_no_balance_is_refused_in_a_line(by, modules, line):
    with pytest.raises(ml.UserError) as caught:
        costs.measure(NET, R.gll(), modules, by).cut()
    assert line in str(caught.value) and "\n" not in str(caught.value)
