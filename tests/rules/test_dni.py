"""DNI: its gradients against autograd, exact synthetic gradients, the synthesiser's arrays, and its training."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import minilocal as ml
from minilocal.array import Array
from minilocal.boundaries import Boundary
from minilocal.boundaries.synthetic import Synthesiser, SyntheticGradient
from minilocal.layers import PassContext
from minilocal.layers.initial import Initializer
from minilocal.objectives import ModuleContext
from minilocal.verify.compare import DOUBLE, errors
from minilocal.verify.jax_cpu import jax_on_cpu
from minilocal.verify.reference.synthetic import dni
from tests.helpers.host import host
from tests.rules.delays import N, batches, make_learner, net, same

NO_IMAGES: Any = None  # no synthesiser reads them
OPTIONS = [{}, {"labels": True}, {"scaled": True, "labels": True, "kernel": 3}]


def randomised(learner: ml.Learner, seed: int = 0) -> ml.Learner:
    """The Learner with noise on every array, so that no weight is 0 and no scale 1."""
    rng = ml.rng(seed)
    for a in learner.parameters().values():
        a += 0.1 * rng.standard_normal(a.shape)
    return learner


@pytest.mark.parametrize("K, options", [*zip([4, 2, 3], OPTIONS, strict=True)], ids=str)
@pytest.mark.parametrize("name", ["mlp", "narrow"])
def test_gradients_are_those_of_the_stop_gradient_loss(name, K, options):
    learner = randomised(make_learner(net(name), ml.rules.dni(**options), K))
    (x, y), p = batches(net(name), 1)[0], learner.parameters()
    losses, grads = learner.gradients(x, y)
    with jax_on_cpu():
        rule = lambda q: dni(learner.modules, q, x, y, PassContext())  # noqa: E731
        (_, theirs), reference = jax.jit(jax.value_and_grad(rule, has_aux=True))(p)
    biases = {f"synth.{k}.{i}.bias" for k in range(K - 1) for i in ("0", "3", "label")}
    before_norm = biases if name == "narrow" else set()
    for name, error in errors(grads, reference).items():
        if name in before_norm:  # its gradient is 0: only round-off, which differs
            assert abs(host(grads[name])).max() <= 1e-12 * max(abs(host(g)).max() for g in grads.values()), name
        else:
            assert error <= DOUBLE, name
    np.testing.assert_allclose(host(losses), theirs, rtol=1e-12)
    assert list(grads) == list(p) and np.isnan(host(losses[:-1])).all()


def test_one_module_is_bp_bit_for_bit():
    dni, bp = make_learner(net("narrow"), ml.rules.dni(), 1), make_learner(net("narrow"), ml.rules.bp(), 1)
    for x, y in batches(net("narrow"), 4):
        assert (dni.step(x, y, lr=0.1) == bp.step(x, y, lr=0.1)).all()
    assert same(dni, bp) and dni.parameters().keys() == bp.parameters().keys()


class Oracle:
    """An exact synthetic gradient: the error that BP sends through this boundary."""

    parameters: dict[str, Array] = {}  # noqa: RUF012
    buffers: dict[str, Array] = {}  # noqa: RUF012
    truth: np.ndarray

    def forward(self, h, batch, run, p=None):
        return self.truth, None

    def gradients(self, cache, error, p=None):
        assert (error == self.truth).all(), "the bootstrapped target is exact where the prediction above is"
        return {}

    def update_running_stats(self, cache, p=None):
        pass


class Oracles(Boundary):
    provides_error, uses_input_error = True, True

    def synthesiser(self, place):
        return Oracle()


@pytest.mark.parametrize("name", ["mlp", "narrow"])
def test_with_perfect_predictions_it_is_bp_bit_for_bit(name):
    K = 4
    dni, bp = (
        make_learner(net(name), ml.rules.compose(boundary=Oracles()), K),
        make_learner(net(name), ml.rules.bp(), K),
    )
    for x, y in batches(net(name), 4):
        h: Array = x
        run, kept = PassContext(key=bp.key, step=bp._training.steps), []
        for module in bp.modules:
            h, caches = module.forward(h, run, bp._training.arrays, False)
            kept.append(caches)
        error = bp.modules[-1].local_loss(h, ml.objectives.Batch(x, y), run, bp._training.arrays, False)[1]
        for k in range(K - 1, 0, -1):
            error = bp.modules[k].backward(error, kept[k], bp._training.arrays, True, lambda u, grads: None)
            oracle: Any = dni.modules[k - 1].synthesiser
            oracle.truth = error
        assert dni.step(x, y, lr=0.1)[-1] == bp.step(x, y, lr=0.1)[-1]
        assert same(dni, bp)


def synthesiser(shape: tuple[int, ...], **options: Any) -> Synthesiser:
    place = ModuleContext(2, 4, 3, 5, shape, 10, 64, (32, 32, 3), Initializer(1))
    return Synthesiser(place, SyntheticGradient(**options))


def test_arrays_are_named_and_shaped_as_in_the_published_code():
    maps = synthesiser((8, 8, 6), labels=True)
    assert {n: a.shape for n, a in maps.parameters.items()} == {
        "synth.2.0.weight": (5, 5, 6, 6), "synth.2.0.bias": (6,),
        "synth.2.label.weight": (10, 6), "synth.2.label.bias": (6,),
        "synth.2.1.weight": (6,), "synth.2.1.bias": (6,), "synth.2.3.weight": (5, 5, 6, 6), "synth.2.3.bias": (6,),
        "synth.2.4.weight": (6,), "synth.2.4.bias": (6,), "synth.2.6.weight": (5, 5, 6, 6), "synth.2.6.bias": (6,),
    }  # fmt: skip
    vectors = synthesiser((7,))
    assert {n: a.shape for n, a in vectors.parameters.items()} == {
        "synth.2.0.weight": (7, 7), "synth.2.0.bias": (7,), "synth.2.2.weight": (7, 7), "synth.2.2.bias": (7,),
    }  # fmt: skip


@pytest.mark.parametrize("shape, last", [((8, 8, 6), 6), ((7,), 2)])
def test_the_first_prediction_is_the_last_bias_and_0_with_zero_bias(shape, last):
    h, batch = ml.rng(0).standard_normal((N, *shape)), ml.objectives.Batch(NO_IMAGES, np.arange(N))
    random, zero = synthesiser(shape), synthesiser(shape, zero_bias=True)
    bias, C = random.parameters[f"synth.2.{last}.bias"], shape[-1]
    fan_in = 25 * C if len(shape) == 3 else C
    assert (random.forward(h, batch, PassContext())[0] == bias).all() and 0 < abs(host(bias)).max() <= fan_in**-0.5
    assert (zero.forward(h, batch, PassContext())[0] == 0).all()


def test_what_it_learns_is_the_distance_summed_over_features_and_averaged_over_the_batch():
    """∂L/∂(last bias) = 2/B Σ_b (ê - t) over pixels; scaled, of B t."""
    h, t = (ml.rng(seed).standard_normal((N, 4, 4, 3)) for seed in (0, 1))
    batch = ml.objectives.Batch(NO_IMAGES, np.arange(N))
    for scaled, target in ((False, t), (True, N * t)):
        learner = synthesiser((4, 4, 3), scaled=scaled)
        prediction, cache = learner.forward(h, batch, PassContext())
        np.testing.assert_allclose(host(prediction * (N if scaled else 1)), host(cache.s), rtol=1e-12)
        grads = learner.gradients(cache, t)
        slope = 2 / N * (cache.s - target).sum(axis=(0, 1, 2))
        np.testing.assert_allclose(host(grads["synth.2.6.bias"]), host(slope), rtol=1e-9)
        assert set(grads) == set(learner.parameters)


def test_a_synthesisers_running_statistics_move_once_a_step_and_never_in_gradients():
    learner, (x, y) = make_learner(net("narrow"), ml.rules.dni(), 2), batches(net("narrow"), 1)[0]
    learner.gradients(x, y)
    assert (learner.buffers()["synth.0.1.running_mean"] == 0).all()
    h, _ = learner.modules[0].forward(x, PassContext(), learner.parameters(), False)
    synthesiser: Any = learner.modules[0].synthesiser
    z, _ = synthesiser.first.forward(h, PassContext(), learner.parameters())
    learner.step(x, y, lr=0.1)
    moved = host(learner.buffers()["synth.0.1.running_mean"])
    np.testing.assert_allclose(moved, 0.1 * z.mean(axis=(0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize("optimizer, lr, options", [
    (ml.optim.Adam(), 3e-3, {"labels": True}), (ml.optim.SGD(momentum=0.9), 1e-2, {"labels": True, "scaled": True}),
], ids=["adam", "scaled sgd"])  # fmt: skip
def test_it_trains(optimizer, lr, options):
    """Its predictions end far closer to the true error than 0 is, and the loss falls."""
    rule = ml.rules.dni(zero_bias=True, **options)
    learner = ml.Learner(net("mlp"), rule, 2, rng=ml.rng(1), dtype="float64", optimizer=optimizer)
    x, y = ml.rng(3).standard_normal((32, 3, 3, 2)), ml.rng(4).integers(0, 4, 32)
    first = learner.step(x, y, lr=lr)[-1]
    for _ in range(300):
        last = learner.step(x, y, lr=lr)[-1]
    run, below, above = PassContext(key=learner.key), learner.modules[0], learner.modules[1]
    batch, p = ml.objectives.Batch(x, y), learner.parameters()
    h, _ = below.forward(x, run, p, False)
    assert below.synthesiser is not None
    predicted, _ = below.synthesiser.forward(h, batch, run, p)
    top, caches = above.forward(h, run, p, False)
    error = above.local_loss(top, batch, run, p, False)[1]
    truth = host(above.backward(error, caches, p, True, lambda u, g: None))
    assert last < 0.5 * first and ((predicted - truth) ** 2).sum() < 0.5 * (truth**2).sum()


def test_its_optimiser_is_adam_where_none_is_given():
    learner = ml.Learner(net("mlp"), ml.rules.dni(), 2, rng=ml.rng(1))
    recommended = learner.rule.recommends
    assert recommended is not None
    assert learner.optimizer == ml.optim.Adam() == ml.optim.get(recommended.optimizer)
    composed = ml.rules.compose(boundary=ml.boundaries.synthetic_gradient())
    assert composed.recommends == recommended
    other = ml.rules.compose(boundary=ml.boundaries.synthetic_gradient(), recommends=ml.rules.Recommended("sgd", 1e-4))
    assert ml.Learner(net("mlp"), other, 2, rng=ml.rng(1)).optimizer == ml.optim.SGD()
    with pytest.raises(ml.UserError, match="optimiser 'adma' is not known; did you mean 'adam'"):
        ml.Learner(net("mlp"), ml.rules.compose(recommends=ml.rules.Recommended("adma", 0.1)), 2, rng=ml.rng(1))
    with pytest.raises(ml.UserError, match="give a rate above 0"):
        ml.rules.Recommended("adam", float("nan"))


def test_it_learns_the_digits_at_what_it_recommends():
    """An error of 90 % is chance; SGD diverges here at 0.1, 0.01 and 0.001."""
    data = ml.data.load("digits")
    x, y = data.normalise(data.train_x), data.train_y
    learner = ml.Learner(ml.nets.mlp((64, 64), channels=1, size=16, rng=ml.rng(0)), ml.rules.dni(), 2, rng=ml.rng(1))
    assert learner.rule.recommends is not None
    for first in [*range(0, len(y), 32)] * 5:
        learner.step(x[first : first + 32], y[first : first + 32], lr=learner.rule.recommends.lr)
    assert (learner.predict(data.normalise(data.test_x)).argmax(1) != data.test_y).mean() < 0.45


def test_float32_stays_float32():
    for name in ("mlp", "narrow"):
        learner = make_learner(net(name), ml.rules.dni(labels=True, scaled=True), 3, dtype="float32")
        for x, y in batches(net(name), 2, "float32"):
            learner.step(x, y, lr=1e-3)
        assert {a.dtype for n, a in learner.state().items() if a.dtype.kind == "f" and not n.startswith("count:")} == {
            np.dtype("float32")
        }


unchecked: Any = ml  # for calls whose arguments are of a wrong type
WRONG = [
    (lambda: ml.rules.dni(kernel=4), "window, odd"),
    (lambda: ml.rules.dni(kernel=0), "window, odd"),
    (lambda: unchecked.rules.dni(labels="yes"), "labels = 'yes'"),
    (
        lambda: ml.rules.compose(objective=ml.objectives.classifier(), boundary=ml.boundaries.synthetic_gradient()),
        "with synthetic gradients a local objective is ignored",
    ),
    (
        lambda: ml.rules.compose(boundary=ml.boundaries.synthetic_gradient(), when=ml.when.periodic(4, 1)),
        "alternate with local epochs",
    ),
    (lambda: ml.rules.get("dni", label=True), "did you mean 'labels'"),
]


@pytest.mark.parametrize("build, says", WRONG)
def test_what_does_not_fit_is_refused_in_one_line(build, says):
    with pytest.raises(ml.UserError, match=says) as caught:
        build()
    assert "\n" not in str(caught.value)
