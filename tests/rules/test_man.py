"""MAN: its limits bit for bit, what crosses and when, its average in checkpoints, its costs, and what is refused."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import rules
from minilocal.boundaries.averaged_unit import BIASES, AveragedUnit
from minilocal.engine.averages import averaged_unit
from minilocal.layers import (
    Flatten,
    Initializer,
    Layer,
    Linear,
    PassContext,
    PreActivation,
    ReLU,
    Residual,
    Sequential,
)
from minilocal.objectives import Behind, ObjectiveSpec
from minilocal.objectives.behind import BehindUnit, macs_behind
from minilocal.rules import compose, man
from minilocal.verify.compare import errors
from minilocal.verify.layers import LayerCase, inputs
from minilocal.verify.layers import by_engine as of_engine
from minilocal.verify.layers import by_jax as of_jax
from minilocal.verify.objectives import CASES
from minilocal.verify.synchronous import by_engine, by_jax, learner, relative_errors
from tests.helpers.host import host

X = ml.rng(1).standard_normal((6, 8, 8, 3)).astype("float32")
Y = np.array([0, 1, 2, 3, 1, 0])
NET = ml.nets.resnet(8, classes=4, size=8, rng=ml.rng(0))  # 4 units
PLAIN = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
LAMBDAS = (2.0, 0.5, 1.0, 1.5)


def make(rule: rules.Rule, modules: Any = 3, net: ml.nets.Net = NET, **more: Any) -> ml.Learner:
    return ml.Learner(net, rule, modules, rng=ml.rng(0), optimizer=PLAIN, **more)


def averaged(ours: ml.Learner, k: int) -> dict[str, np.ndarray]:
    """M's weights behind module k, by the names of the next unit."""
    prefix = f"aux.{k}.average."
    names = ours.modules[k + 1].units[0].parameters
    return {name: host(ours.buffers()[prefix + name]).copy() for name in names}


def above(ours: ml.Learner, k: int) -> dict[str, np.ndarray]:
    """The weights of the first unit of module k + 1."""
    return {name: host(ours.parameters()[name]).copy() for name in ours.modules[k + 1].units[0].parameters}


def alike(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(host(a[n]), host(b[n])) for n in a)


# ---------------------------------------------------------------------- gradients


@pytest.mark.parametrize("case", CASES["MAN"], ids=str)
def test_against_autograd(case):
    assert max(relative_errors(case).values()) <= 1e-9


def test_against_autograd_after_two_steps_with_the_average_by_its_formula():
    """Losses and gradients of the third step are those of weights that have moved, and of M as (3) has it."""
    case = next(c for c in CASES["MAN"] if "unit" in c.name and c.net == "convolutions")
    ours, m = learner(case), ml.boundaries.weights.momentum
    x, y = ml.rng(1).standard_normal((6, 8, 8, 3)), np.array(case.labels)
    for _ in range(2):
        expected = {k: {n: m * averaged(ours, k)[n] + (1 - m) * w for n, w in above(ours, k).items()} for k in range(3)}
        ours.step(x, y, lr=0.05)
        for k, by_name in expected.items():
            for name, a in averaged(ours, k).items():
                np.testing.assert_allclose(a, by_name[name], rtol=4e-16, atol=1e-18)  # two products and a sum
    assert max(errors(by_engine(case, ours), by_jax(case, ours)).values()) <= 1e-9


def unit_of(kind: str, initial: Initializer) -> tuple[Layer, tuple[int, ...], int]:
    """A unit, the shape of a batch of its inputs, and the channels of its outputs."""
    if kind == "linear":
        return Sequential([Flatten(), Linear(12, 5, initial, name="l"), ReLU()]), (6, 2, 2, 3), 5
    block = {"residual": Residual, "pre-activation": PreActivation}[kind]
    return block(3, 5, 2, initial, name="b"), (4, 6, 4, 3), 5


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("kind", ["residual", "pre-activation", "linear"])
@pytest.mark.parametrize("training", [True, False])
def test_the_layer_against_autograd_with_a_random_upstream_error(kind, bias, training):
    def layer(initial: Initializer) -> Layer:
        unit, _, channels = unit_of(kind, initial)
        return AveragedUnit(unit, channels, bias, "random", 0.9, initial, "aux.0")

    shape = unit_of(kind, Initializer(0))[1]
    case = inputs(LayerCase("AveragedUnit", kind, layer, shape, training))
    assert max(errors(of_engine(case), of_jax(case)).values()) <= 1e-9
    ml.verify.check_layer(layer(Initializer(1)), shape[1:])  # the contract, finite differences, in both types


# ---------------------------------------------------------------------- limits


@pytest.mark.parametrize("keep_every", [1, 3])
def test_one_module_is_bp(keep_every):
    ours, bp = make(man(every=keep_every), 1), make(rules.bp(), 1)
    for _ in range(3):
        assert np.array_equal(host(ours.step(X, Y, lr=0.1)), host(bp.step(X, Y, lr=0.1)))
    assert alike(ours.parameters(), bp.parameters()) and alike(ours.buffers(), bp.buffers())


class Fixed(Layer):
    """A unit under arrays of its own that never change, and which no optimiser knows."""

    def __init__(self, unit: Layer, arrays: dict[str, np.ndarray]) -> None:
        super().__init__("fixed")
        self.unit, self.fixed = unit, arrays

    def forward(self, x: Any, ctx: PassContext, p: Any = None) -> tuple[Any, Any]:
        return self.unit.forward(x, ctx, self.fixed)

    def backward(self, dy: Any, cache: Any, p: Any = None, need: Any = "both") -> tuple[Any, dict[str, Any]]:
        return (None if need == "weights" else self.unit.backward(dy, cache, self.fixed, "input")[0]), {}

    def out_shape(self, shape: Any) -> Any:
        return self.unit.out_shape(shape)


class FixedHeads(ObjectiveSpec):
    """InfoPro's objective behind a unit that never changes, one for each module."""

    def __init__(self, inner: ObjectiveSpec, arrays: list[dict[str, np.ndarray]]) -> None:
        self.inner, self.arrays = inner, arrays

    def build(self, context: Any) -> Any:
        seen = BehindUnit.of(context)
        inner = self.inner.build(seen)
        assert inner is not None
        return Behind(Fixed(context.above[0][0], self.arrays[context.module]), inner)


def test_momentum_1_is_a_fixed_random_head():
    ours = make(man(momentum=1.0, bias="none", start="random", lambdas=LAMBDAS))
    heads = []
    for k in (0, 1):
        unit = ours.modules[k + 1].units[0]
        heads.append({n: host(ours.buffers()[f"aux.{k}.average.{n}"]).copy() for n in unit.arrays})
    spec = FixedHeads(ml.objectives.infopro(LAMBDAS, aux="2c2f"), heads)
    fixed = make(compose(objective=spec, boundary=ml.boundaries.closed()))
    for _ in range(4):
        assert np.array_equal(host(ours.step(X, Y, lr=0.1)), host(fixed.step(X, Y, lr=0.1)))
    assert alike(ours.parameters(), fixed.parameters())
    assert all(np.array_equal(a, heads[k][n]) for k in (0, 1) for n, a in averaged(ours, k).items())


@pytest.mark.parametrize("bias", ["unit", "channel", "none"])
def test_momentum_0_is_the_next_unit_before_its_update(bias):
    ours = make(man(momentum=0.0, bias=bias, start="random"))
    for _ in range(3):
        before = [above(ours, k) for k in (0, 1)]
        ours.step(X, Y, lr=0.1)
        for k in (0, 1):
            assert alike(averaged(ours, k), before[k])
            assert not alike(above(ours, k), before[k]), "the update came after"


@pytest.mark.parametrize("m", [0.3, 0.995])
def test_the_average_is_of_parameters_alone_and_of_those_before_the_update(m):
    ours = make(man(momentum=m, start="random"))
    for _ in range(3):
        old, unit = averaged(ours, 1), above(ours, 1)
        ours.step(X, Y, lr=0.1)
        m32, rest = np.float32(m), np.float32(1 - m)
        assert alike(averaged(ours, 1), {n: m32 * a + rest * unit[n] for n, a in old.items()})
    statistics = [n for n in ours.modules[2].units[0].buffers if "running_mean" in n]
    mean = {n: host(ours.buffers()[f"aux.1.average.{n}"]) for n in statistics}
    assert mean and not any(np.array_equal(a, host(ours.buffers()[n])) for n, a in mean.items()), "M has its own"


def test_the_averages_leave_what_is_averaged_alone():
    ours = make(man(momentum=0.5, start="random"))
    before, old = {n: host(a).copy() for n, a in ours.parameters().items()}, averaged(ours, 0)
    ours.step(X, Y, lr=0.0)
    assert alike(ours.parameters(), before) and not alike(averaged(ours, 0), old)


# ---------------------------------------------------------------------- what crosses


def grads(ours: ml.Learner, k: int) -> dict[str, np.ndarray]:
    """The gradients that module k takes, its heads' too."""
    module, objective = ours.modules[k], ours.modules[k].objective
    names = {*module.parameters(), *(objective.parameters if objective else {})}
    return {n: host(g) for n, g in ours.gradients(X, Y)[1].items() if n in names}


@pytest.mark.parametrize(("unit", "changes"), [(0, True), (1, False)])
def test_weights_of_the_next_modules_first_unit_are_felt_one_step_late(unit, changes):
    """Without updates (η = 0): nothing within the step, and from the next on, of no other unit."""
    plain, other = (make(man(momentum=0.5), [1, 2, 1]) for _ in range(2))
    for name in other.modules[1].units[unit].parameters:
        w = other.parameters()[name]
        w += ml.rng(3).standard_normal(w.shape).astype("float32")
    assert alike(grads(plain, 0), grads(other, 0)), "within the step"
    for ours in (plain, other):
        ours.step(X, Y, lr=0.0)
    assert alike(grads(plain, 0), grads(other, 0)) != changes


def test_errors_of_the_next_module_are_felt_by_no_gradient_below():
    """Other labels for module 2 alone: its gradients change, those of module 1 do not."""
    from minilocal.engine.hooks import Hook, hooked
    from minilocal.objectives import Batch

    class OtherLabels(Hook):
        def replace_batch(self, part: Any, batch: Any) -> Any:
            return Batch(batch.x, (batch.y + 1) % 4)

    ours = make(man())
    plain = [grads(ours, k) for k in (0, 1)]
    with hooked(ours.modules, [Hook(), OtherLabels(), Hook()]):
        assert alike(grads(ours, 0), plain[0]) and not alike(grads(ours, 1), plain[1])


def test_gradients_leave_the_average_alone():
    ours = make(man(momentum=0.0, start="random"))
    before = ours.state()
    ours.gradients(X, Y)
    assert alike(ours.state(), before)


@pytest.mark.parametrize("every", [2, 3])
def test_stale_weights_cross_every_nth_step_as_n_averagings(every):
    ours, m = make(man(momentum=0.9, every=every, start="random")), 0.9**every
    for step in range(2 * every):
        old, unit = averaged(ours, 0), above(ours, 0)
        ours.step(X, Y, lr=0.1)
        moved = {n: np.float32(m) * a + np.float32(1 - m) * unit[n] for n, a in old.items()}
        assert alike(averaged(ours, 0), old if step % every else moved)


@pytest.mark.parametrize("images", [1, 6])
def test_micro_batches_average_once_a_step(images):
    """A batch of one image is one micro-batch."""
    rule = {
        m: compose(
            objective=ml.objectives.classifier(), boundary=ml.boundaries.weights(0.5, start="random"), accumulate=m
        )
        for m in (1, 2)
    }
    one, two = make(rule[1]), make(rule[2])
    for ours in (one, two):
        ours.step(X[:images], Y[:images], lr=0.1)
    assert alike(averaged(one, 0), averaged(two, 0)) and alike(averaged(one, 1), averaged(two, 1))


def test_pgl_around_it_goes_on_averaging_in_global_epochs():
    ours, bp = make(rules.pgl(around=man(momentum=0.0), period=2, duration=1)), make(rules.bp())
    ours.epoch = 1
    unit = above(ours, 0)
    expected, seen = bp.gradients(X, Y)[1], ours.gradients(X, Y)[1]
    assert all(np.array_equal(host(seen[n]), host(g)) for n, g in expected.items())
    ours.step(X, Y, lr=0.1)
    assert alike(averaged(ours, 0), unit)


# ---------------------------------------------------------------------- where M and B start


def test_copies_start_from_the_next_units_weights():
    ours = make(man())
    for k in (0, 1):
        unit = above(ours, k)
        assert alike(averaged(ours, k), unit)
        assert alike({n: ours.parameters()[f"aux.{k}.bias.{n}"] for n in unit}, unit)


def test_random_starts_are_drawn_as_the_unit_was_and_independently():
    wide = ml.nets.resnet(20, rng=ml.rng(0))
    ours = ml.Learner(wide, man(start="random"), 4, rng=ml.rng(0))
    unit, k = ours.modules[3].units[0], 2
    names = [n for n, a in unit.parameters.items() if a.ndim == 4]
    for name in names:
        mine, bias = host(ours.buffers()[f"aux.{k}.average.{name}"]), host(ours.parameters()[f"aux.{k}.bias.{name}"])
        own = host(ours.parameters()[name])
        for a, b in ((mine, bias), (mine, own), (bias, own)):
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 6 / a.size**0.5  # six deviations of chance
        deviation = (2 / (own.shape[0] ** 2 * own.shape[-1])) ** 0.5
        assert mine.std() == pytest.approx(deviation, rel=5 / (2 * mine.size) ** 0.5)  # five deviations
    norms = [n for n in unit.parameters if "bn" in n or "downsample.1" in n]
    assert norms and all(host(ours.buffers()[f"aux.{k}.average.{n}"]).std() == 0 for n in norms)


@pytest.mark.parametrize("name", ["wrn10-1", "resnet18", "vgg16", "alexnet", "mlp"])
@pytest.mark.parametrize("start", ["copy", "random"])
def test_every_network_trains_behind_its_own_units(name, start):
    """With a classifier alone, fully connected units too."""
    size = 32 if name in ("vgg16", "alexnet") else 8
    options = {"hidden": 16} if name in ("vgg16", "alexnet") else {}
    net = getattr(ml.nets, name)(classes=4, rng=ml.rng(0), **options) if options else None
    net = net or ml.nets.get(name, classes=4, size=size, rng=ml.rng(0))
    rule = compose(objective=ml.objectives.classifier(), boundary=ml.boundaries.weights(start=start))
    ours = make(rule, 4, net)
    x = ml.rng(2).standard_normal((4, *net.shape)).astype("float32")
    losses = [host(ours.step(x, np.arange(4), lr=0.01)) for _ in range(2)]
    assert np.isfinite(losses).all()
    assert [None if z is None else z.shape for z in ours.local_logits(x)] == [(4, 4)] * 4


class Scaled(Layer):
    """z = w h: a layer of the user's own, with a parameter."""

    def __init__(self) -> None:
        super().__init__("own")
        self.parameters["own.w"] = np.array(2.0)


def test_a_layer_whose_initial_weights_are_not_known_is_copied_only():
    from minilocal.layers.redrawn import redrawn

    with pytest.raises(
        ml.UserError, match=r"Scaled 'own' is of no kind whose initial weights are known.*start=\"copy\""
    ):
        redrawn(Scaled(), Initializer(0), "aux.0.")


# ---------------------------------------------------------------------- state


def test_the_average_is_no_parameter_and_the_optimiser_leaves_it():
    ours = make(man(momentum=1.0, start="random"))
    before = averaged(ours, 0)
    for _ in range(2):
        ours.step(X, Y, lr=0.1)
    names = [n for n in ours.buffers() if ".average." in n]
    assert names and not any(".average." in n for n in [*ours.parameters(), *ours.optimizer_states()])
    assert alike(averaged(ours, 0), before), "no decay either"


@pytest.mark.parametrize("every", [1, 2])
def test_a_restored_learner_goes_on_bit_for_bit(every, tmp_path):
    rule = man(momentum=0.7, every=every, start="random")
    one, two = make(rule), make(rule)
    for _ in range(3):
        one.step(X, Y, lr=0.1)
    two.restore(one.state())
    one.save(tmp_path / "l.npz")
    loaded, copied = ml.load(tmp_path / "l.npz"), copy.deepcopy(one)
    for ours in (one, two, loaded, copied):
        for _ in range(3):
            ours.step(X, Y, lr=0.1)
    assert all(alike(one.state(), other.state()) for other in (two, loaded, copied))


# ---------------------------------------------------------------------- costs


def test_the_costs_at_its_papers_k_of_16():
    """15 modules, the first of two units: 461 120 weights that learn, as many that do not, 127.9 M multiply-adds."""
    net = ml.nets.resnet(32, rng=ml.rng(0))
    ours = ml.Learner(net, man(), [2] + [1] * 14, rng=ml.rng(0))
    layers = [(unit, net.shapes[m.top]) for m in ours.modules if (unit := averaged_unit(m)) is not None]
    assert len(ours.modules) == 15 and len(layers) == 14
    assert sum(a.size for layer, _ in layers for a in layer.parameters.values()) == 461_120
    assert sum(a.size for layer, _ in layers for a in layer.averaged.values()) == 461_120
    assert ml.nets.count(net.parameters()) == 466_906
    assert sum(layer.macs(shape) for layer, shape in layers) == 127_926_272
    assert "461,120 averaged weights, which no gradient trains" in ours.summary(4)


@pytest.mark.parametrize(("bias", "parameters", "times"), [("unit", 14_528, 2), ("channel", 32, 1), ("none", 0, 1)])
def test_the_costs_of_each_bias(bias, parameters, times):
    plain, ours = make(rules.gll()), make(compose(
        objective=ml.objectives.classifier(), boundary=ml.boundaries.weights(bias=bias)
    ))  # fmt: skip
    layer: Any = ours.modules[0].objective.layer  # type: ignore[union-attr]
    unit, shape = ours.modules[1].units[0], NET.shapes[1]
    assert sum(a.size for a in layer.parameters.values()) == parameters
    assert layer.macs(shape) == times * unit.macs(shape)
    heads = [macs_behind(o.modules[0].objective, shape) for o in (plain, ours)]
    assert heads[1] == layer.macs(shape) + 32 * 4 and heads[0] == 16 * 4, "the head has the next unit's width"


def test_equal_loads_and_bytes_know_it():
    costs = {by: ml.costs.measure(NET, man(), 3, by, images=8) for by in ("flops", "memory")}
    gll = {by: ml.costs.measure(NET, rules.infopro(aux="2c2f"), 3, by, images=8) for by in costs}
    for by, measured in costs.items():
        sizes = [2, 1, 1]
        assert all(a > b for a, b in zip(measured.of(sizes)[:2], gll[by].of(sizes), strict=False)), by
        assert sum(measured.cut()) == 4
    held = ml.memory.estimate(NET, man(), 3, 8)
    parts = ml.Learner(NET, man(), 3, rng=ml.rng(0))
    assert held.statistics == sum(host(a).nbytes for a in parts.buffers().values())


# ---------------------------------------------------------------------- λ


def test_lambdas_by_stage_are_those_of_its_code():
    """Stage s of the next unit is s / (K-2) of the way."""
    by_stage = ml.objectives.infopro((5, 0.5, 0, 0), interpolate="stage")
    assert [by_stage.weights(3, 16, s)[0] / 5 for s in (1, 2, 3)] == pytest.approx([13 / 14, 12 / 14, 11 / 14])
    assert by_stage.weights(0, 2, 3) == (5, 0.5)
    net = ml.nets.resnet(32, rng=ml.rng(0))
    ours = ml.Learner(net, man(lambdas=(5, 0.5, 0, 0), interpolate="stage"), [2] + [1] * 14, rng=ml.rng(0))
    seen = [m.objective.objective.branches[0].weight for m in ours.modules[:-1]]  # type: ignore[union-attr]
    assert seen == pytest.approx([5 * (1 - s / 13) for s in [1] * 4 + [2] * 5 + [3] * 5]), "of the unit above"


def test_a_last_local_loss_of_0_is_said():
    with pytest.warns(UserWarning, match="λ1 and λ2 are both 0 at module 2, so nothing trains it"):
        make(man(lambdas=(5, 0.5, 0, 0)))


def test_one_module_has_no_local_loss_to_speak_of(recwarn):
    make(man(lambdas=(0, 0, 0, 0)), 1)
    assert not recwarn


# ---------------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"momentum": -0.1}, "MAN momentum -0.1 is outside [0, 1]: 1 is a head that stays as it is"),
        ({"momentum": 1.1}, "MAN momentum 1.1 is outside [0, 1]"),
        ({"momentum": float("nan")}, "MAN momentum nan is outside [0, 1]"),
        ({"momentum": "0.9"}, "MAN momentum '0.9' is outside [0, 1]"),
        ({"bias": "units"}, "MAN's bias 'units'"),
        ({"start": "copied"}, "MAN's start 'copied'"),
        ({"every": 0}, "MAN every = 0: give the steps between two crossings, 1 or more."),
        ({"every": 1.5}, "MAN every = 1.5"),
        ({"interpolate": "stages"}, "InfoPro's interpolate 'stages'"),
        ({"lambdas": (1, 2)}, "InfoPro was given 2 lambdas"),
        ({"aux": "3c3f"}, "auxiliary network '3c3f'"),
    ],
)
def test_wrong_options_are_one_line(options, says):
    with pytest.raises(ml.UserError, match=re.escape(says)) as raised:
        man(**options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("net", "modules", "rule", "says"),
    [
        ("mlp", 3, man(), "maps, but module 1 of 3 is seen through unit 'layers.2', a fully connected unit"),
        ("vgg16", 16, man(), "maps, but module 13 of 16 is seen through unit 'classifier.1', a fully connected unit"),
        ("resnet8", 4, man(interpolate="stage", lambdas=(2, 0.5, 0, 0)), "in stage 3 of 4 modules λ1 and λ2 are -1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_training(net, modules, rule, says):
    built = ml.nets.get(net, classes=4, size=32 if net == "vgg16" else 8, rng=ml.rng(0))
    with pytest.raises(ml.UserError, match=re.escape(says)) as raised:
        ml.Learner(built, rule, modules, rng=ml.rng(0))
    assert "\n" not in str(raised.value)


def test_it_is_certified_and_drawn():
    certificate = ml.verify.certify(man(momentum=0.5))
    assert certificate, certificate
    with_weights, without = (ml.draw.rule_picture(rule, 3, 6) for rule in (man(), rules.infopro()))
    arrows = [sum(hasattr(a, "arrow_patch") for a in figure.axes[0].texts) for figure in (with_weights, without)]
    assert arrows[0] == arrows[1] + 2, "into two losses"


def test_asynchronous_modules_and_modules_without_a_loss_are_refused():
    weights, classifier = ml.boundaries.weights(), ml.objectives.classifier()
    with pytest.raises(ml.UserError, match="asynchronous modules learn from their local loss alone"):
        compose(objective=classifier, boundary=weights, when=ml.when.asynchronous(buffer=2))
    with pytest.raises(ml.UserError, match="without a local objective"):
        compose(boundary=weights)
    with pytest.raises(ml.UserError, match="none does here"):
        compose(objective=classifier, boundary=weights, keep="inputs")
