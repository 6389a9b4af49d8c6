"""Interlocking backpropagation: its limits bit for bit, the backwards of its errors, and what it keeps."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.engine.hooks import Hook, hooked
from minilocal.layers import Flatten, Layer, Linear, Sequential
from minilocal.losses import cross_entropy
from minilocal.nets import Net
from minilocal.objectives import Batch, ObjectiveSpec
from minilocal.rules import interlocking
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("float32")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))  # 4 units


def learner(rule: ml.rules.Rule, modules: Any) -> ml.Learner:
    return ml.Learner(NET, rule, modules, rng=ml.rng(0))


def trained(rule: ml.rules.Rule, modules: Any) -> dict[str, Any]:
    """All arrays after three steps, and the losses of each."""
    ours = learner(rule, modules)
    losses = {f"losses {step}": host(ours.step(X, Y, lr=0.1)) for step in range(3)}
    return losses | {name: host(a) for name, a in ours.state().items()}


def alike(a: dict[str, Any], b: dict[str, Any], names: Any = None) -> bool:
    names = a.keys() | b.keys() if names is None else names
    return all(np.array_equal(a[name], b[name], equal_nan=True) for name in names)


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("keep", ["caches", "inputs"])
@pytest.mark.parametrize("modules", [1, 2, 3, 4, [1, 3], [3, 1], [1, 2, 1]], ids=str)
def test_reach_0_is_gll(modules, keep):
    assert alike(trained(interlocking(reach=0, keep=keep), modules), trained(ml.rules.gll(), modules))


@pytest.mark.parametrize("keep", ["caches", "inputs"])
@pytest.mark.parametrize("modules", [2, 3, 4, [1, 3], [3, 1], [1, 2, 1]], ids=str)
def test_a_reach_of_all_modules_is_bp_on_the_main_weights(modules, keep):
    K = modules if isinstance(modules, int) else len(modules)
    bp = learner(ml.rules.bp(), modules).gradients(X, Y)[1]
    for reach in (K - 1, K, 99):
        ours = learner(interlocking(reach=reach, keep=keep), modules).gradients(X, Y)[1]
        assert all(np.array_equal(host(ours[name]), host(bp[name])) for name in bp)
        assert len(ours) > len(bp), "auxiliary networks learn too"


@pytest.mark.parametrize("modules", [2, 3, 4, [1, 3], [3, 1], [1, 2, 1]], ids=str)
def test_reach_1_is_backlink_with_whole_modules_linked_and_alpha_0(modules):
    backlink = ml.rules.backlink(length="module", alpha=0.0)
    assert alike(trained(interlocking(reach=1), modules), trained(backlink, modules))


@pytest.mark.parametrize("reach", [1, 2, 3])
def test_kept_inputs_give_the_same_bits(reach):
    assert alike(trained(interlocking(reach=reach, keep="inputs"), 4), trained(interlocking(reach=reach), 4))


@pytest.mark.parametrize("keep, forwards", [("caches", [1, 1, 1, 1]), ("inputs", [2, 2, 2, 1])])
def test_a_module_whose_loss_is_above_runs_once_more_where_its_input_is_kept(keep, forwards, monkeypatch):
    ours = learner(interlocking(reach=1, keep=keep), 4)
    modules, count = ours.modules, [0] * 4
    forward = type(modules[0]).forward

    def counted(self: Any, *args: Any, **options: Any) -> Any:
        count[next(k for k, module in enumerate(modules) if module is self)] += 1
        return forward(self, *args, **options)

    monkeypatch.setattr(type(modules[0]), "forward", counted)
    ours.step(X, Y, lr=0.1)
    assert count == forwards


def test_pgl_around_it_is_bp_in_global_epochs():
    rule = ml.rules.pgl(around="interlocking", period=2, duration=1)
    ours, bp = learner(rule, 3), learner(ml.rules.bp(), 3)
    ours.epoch = bp.epoch = 1
    expected = bp.gradients(X, Y)[1]
    assert all(np.array_equal(host(ours.gradients(X, Y)[1][name]), host(g)) for name, g in expected.items())


# ---------------------------------------------------------------------- by hand


class Scale(Layer):
    """z = w ⊙ h, elementwise."""

    def __init__(self, w: tuple[float, float], name: str) -> None:
        super().__init__(name)
        self.parameters[f"{name}.w"] = np.array(w)

    def forward(self, x: Any, ctx: Any, p: Any = None) -> tuple[Any, Any]:
        p = p or self.parameters
        return p[f"{self.name}.w"] * x, x

    def backward(self, dy: Any, cache: Any, p: Any = None, need: Any = "both") -> tuple[Any, dict[str, Any]]:
        p = p or self.parameters
        grads = {} if need == "input" else {f"{self.name}.w": (dy * cache).sum(0)}
        return (None if need == "weights" else dy * p[f"{self.name}.w"]), grads


class OfItsOutput:
    """The loss of h itself as logits: e = error where one is given, else the cross entropy's."""

    def __init__(self, error: float | None) -> None:
        self.error, self.parameters, self.buffers = error, dict[str, Any](), dict[str, Any]()

    def forward(self, h: Any, batch: Batch, ctx: Any, p: Any = None) -> tuple[Any, Any]:
        return cross_entropy(h, batch.y)

    def backward(self, cache: Any, p: Any = None, need: Any = "both") -> tuple[Any, dict[str, Any]]:
        return cache if self.error is None else np.full_like(cache, self.error), {}

    def update_running_stats(self, cache: Any, p: Any = None) -> None:
        pass


class HeadsOfOnes(ObjectiveSpec):
    """The cross entropy in each module below the last, and the error 0.1 at the logits of the last."""

    def build(self, context: Any) -> Any:
        return OfItsOutput(None)

    def last(self, head: Any, context: Any) -> Any:
        return OfItsOutput(0.1)


@pytest.mark.parametrize(
    ("reach", "expected"),
    [  # h_1 = 2, h_2 = 6 in both features; the cross entropy's error of label 1 is (0.5, -0.5)
        (0, [(2 - 0.5, 2 + 0.5), (3 - 0.5 * 2, 3 + 0.5 * 2), (4 - 0.1 * 6,) * 2]),
        (1, [(2 - 0.5 * 3, 2 + 0.5 * 3), (3 - 0.1 * 4 * 2,) * 2, (4 - 0.1 * 6,) * 2]),
        (2, [(2 - 0.1 * 4 * 3,) * 2, (3 - 0.1 * 4 * 2,) * 2, (4 - 0.1 * 6,) * 2]),
    ],
)
def test_elementwise_modules_by_hand(reach, expected):
    """Modules w = 2, 3, 4, an input of ones, label 1 and η = 1: each module after its update."""
    head: list[Layer] = [Linear(2, 2, NET.initial, name="fc", last=True)]
    units: list[Layer] = [Sequential([Flatten("f"), Scale((2.0, 2.0), "0")], "0"), Scale((3.0, 3.0), "1")]
    net = Net("elementwise", [*units, Scale((4.0, 4.0), "2")], Sequential(head, "head"), 2, (1, 1, 2), NET.initial)
    rule = ml.rules.compose(objective=HeadsOfOnes(), boundary=ml.boundaries.reach(reach))
    ours = ml.Learner(net, rule, 3, rng=ml.rng(0), dtype="float64", optimizer=ml.optim.SGD(momentum=0, weight_decay=0))
    ours.step(np.ones((1, 1, 1, 2)), np.array([1]), lr=1.0)
    weights = [host(ours.parameters()[f"{k}.w"]) for k in range(3)]
    np.testing.assert_allclose(weights, expected, rtol=1e-15)  # one rounding or two


# ---------------------------------------------------------------------- backwards, and what is kept


class Calls(Hook):
    """The parts whose backward is called, and with what: "weights", "input" or both."""

    def __init__(self, module: int, calls: list[tuple[int, Any, str]]) -> None:
        self.module, self.calls = module, calls

    def after_backward(self, part: Any, error: Any, grads: Any) -> Any:
        kind = "weights" if error is None else "both" if grads else "input"
        self.calls.append((self.module, part, kind))
        return error


def calls(reach: int, sizes: list[int]) -> list[tuple[int, Any, str]]:
    ours, recorded = learner(interlocking(reach=reach), sizes), list[tuple[int, Any, str]]()
    with hooked(ours.modules, [Calls(k, recorded) for k in range(len(sizes))]):
        ours.gradients(X, Y)
    return recorded


def test_a_loss_that_no_module_learns_from_sends_no_error():
    """n = 2 of K = 4: the errors of losses 1 and 2 end at their auxiliary networks, those of 3 and 4 go down."""
    assert calls(2, [1, 1, 1, 1]) == [
        (0, "objective", "weights"),
        (1, "objective", "weights"),
        (2, "objective", "both"), (2, 0, "input"), (1, 0, "input"), (0, 0, "weights"),
        (3, "objective", "both"), (3, 0, "both"), (2, 0, "both"), (1, 0, "weights"),
    ]  # fmt: skip


def test_the_work_of_a_module_is_n_walks_and_one_backward():
    for reach in (0, 1, 2, 3):
        kinds = [kind for module, part, kind in calls(reach, [1, 1, 1, 1]) if module == 3 - reach and part == 0]
        assert len([k for k in kinds if k != "input"]) == 1


@pytest.mark.parametrize(("reach", "held"), [(0, 1), (1, 2), (2, 3), (3, 4)])
def test_the_caches_of_n_and_one_modules_are_kept(reach, held):
    """Counted when the last loss is computed: the modules that still wait, and the last."""
    engine: Any = learner(interlocking(reach=reach), 4).engine
    seen: list[int] = []
    backward = engine._backward_of_loss

    def counting(j: int, waiting: Any, *rest: Any) -> Any:
        seen.append(len(waiting))
        return backward(j, waiting, *rest)

    engine._backward_of_loss = counting
    batch = Batch(X, Y)
    engine.step(batch, ml.layers.PassContext(True), lambda grads: None, False)
    assert max(seen) == held


# ---------------------------------------------------------------------- at the door


@pytest.mark.parametrize("reach", [-1, 1.5, True, "2", None])
def test_a_reach_that_is_no_whole_number_is_refused(reach):
    with pytest.raises(ml.UserError, match="reach modules"):
        interlocking(reach=reach)


def test_it_needs_a_local_objective_and_no_delays():
    with pytest.raises(ml.UserError, match="without a local objective"):
        ml.rules.compose(boundary=ml.boundaries.reach(1))
    with pytest.raises(ml.UserError, match="asynchronous modules learn from their local loss alone"):
        ml.rules.compose(
            objective=ml.objectives.classifier(), boundary=ml.boundaries.reach(1), when=ml.when.asynchronous(buffer=2)
        )


class Crossed(ml.boundaries.Boundary):
    """The lower module learns from the higher loss: its error would pass a module that has been updated."""

    def learns_from(self, k: int, last: int) -> int:
        return [2, 1, 2][k]

    def linked_units(self, units: int) -> int:
        return units


def test_an_own_boundary_whose_losses_cross_is_refused():
    rule = ml.rules.compose(objective=ml.objectives.classifier(), boundary=Crossed())
    with pytest.raises(ml.UserError, match=r"Crossed.learns_from: modules 1, 2, 3 learn from the losses of 3, 2, 3"):
        learner(rule, 3)


def test_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learner(interlocking(reach=9), 4)
