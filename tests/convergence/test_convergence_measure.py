"""σ and the norm ratio of every rule: limits to the bit, JAX, a case by hand; the Learner is the same afterwards."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import UserError
from minilocal.array import Array
from minilocal.convergence import Agreement, Convergence
from minilocal.convergence.agreement import MeanGradients, inner
from minilocal.convergence.measure import of_modules
from minilocal.engine.hooks import Gradients, Hook, Part, hooked
from minilocal.layers import PassContext
from minilocal.verify.small_nets import convolutions, network, with_dropout
from minilocal.verify.synchronous import learner as verified
from minilocal.verify.synchronous import named
from tests.fake.device import counting, fake
from tests.helpers.host import host

NET = convolutions("convolutions", 8, 8)
X = ml.rng(1).standard_normal((20, 8, 8, 3))
Y = np.arange(20) % 4
BATCH = 8  # so there are two batches of 8, and one of 4
EVERY = {name: ml.rules.get(name) for name in ml.rules.NAMES} | {
    "dgl, asynchronous": ml.rules.dgl(buffer=2, aux="0c1f"),
    "fdg, current": ml.rules.fdg(backward_weights="current", beta=0.5),
    "ddg, recompute": ml.rules.ddg(backward_weights="recompute"),
    "bp, accumulated": ml.rules.bp(accumulate=2),
}  # fmt: skip
ONE = Agreement(1.0, 1.0, 1.0)


def make_learner(rule: ml.rules.Rule, net: ml.nets.Net = NET, modules: int = 4, **options: Any) -> ml.Learner:
    sgd = ml.optim.SGD(momentum=0.9, weight_decay=1e-3)
    optimizer = ml.optim.Adam() if rule.name == "DNI" else sgd  # SGD diverges there
    return ml.Learner(net, rule, modules, rng=ml.rng(3), **{"optimizer": optimizer, "dtype": "float64", **options})


def measured(learner: ml.Learner, x: np.ndarray = X, y: np.ndarray = Y, **options: Any) -> Convergence:
    return ml.convergence.measure(learner, x.astype(learner.dtype), y, **{"batch_size": BATCH, **options})


def trained(learner: ml.Learner, steps: int = 8) -> ml.Learner:
    lr = 0.001 if learner.rule.name == "DNI" else 0.02
    for step in range(steps):
        rows = (np.arange(BATCH) + 3 * step) % len(Y)
        learner.step(X[rows].astype(learner.dtype), Y[rows], lr=lr)
    return learner


def main_names(learner: ml.Learner) -> list[str]:
    return [name for names in of_modules(learner) for name in names]


# ------------------------------------------------------------------ limits, to the bit


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", [ml.rules.bp(), ml.rules.bp(keep="inputs"), ml.rules.bp(accumulate=3)])
def test_of_bp_all_three_are_one(rule, dtype):
    result = measured(trained(make_learner(rule, dtype=dtype)))
    assert result.whole == ONE and set(result.modules) == {ONE} and result.batches == 3


def test_of_bp_they_are_one_under_dropout_too():
    """Both gradients have the same masks, and other batches others."""
    net = with_dropout(ml.rng(0))
    x = ml.rng(2).standard_normal((20, *net.shape))
    result = measured(make_learner(ml.rules.bp(), net), x)
    assert result.whole == ONE and set(result.modules) == {ONE}
    thrice = [measured(make_learner(ml.rules.bp(), net), x[[0] * n * BATCH], Y[[0] * n * BATCH]) for n in (1, 3)]
    assert thrice[0].gradient_norm != thrice[1].gradient_norm


@pytest.mark.parametrize("modules", [2, 3, 4])
def test_total_at_alpha_0_with_every_unit_linked_is_bp(modules):
    rule = ml.rules.backlink(length="module", alpha=0, error="total")
    result = measured(trained(make_learner(rule, modules=modules)))
    assert result.whole == ONE and set(result.modules) == {ONE}
    other = measured(trained(make_learner(ml.rules.backlink(length="module", alpha=0.5, error="total"))))
    assert other.whole != ONE


@pytest.mark.parametrize("name", EVERY)
def test_one_module_is_bp(name):
    result = measured(trained(make_learner(EVERY[name], modules=1)))
    assert result.whole == ONE and result.modules == (ONE,)


def test_the_last_module_learns_from_the_final_loss():
    for rule in (ml.rules.gll(), ml.rules.backlink(), ml.rules.dgl(), ml.rules.infopro(), ml.rules.dni()):
        result = measured(trained(make_learner(rule)))
        assert result.modules[-1] == ONE and result.modules[0] != ONE


def test_pgl_is_measured_in_its_phase():
    rule = ml.rules.pgl(period=4, duration=2, aux="0c1f")
    local, gll = trained(make_learner(rule)), trained(make_learner(ml.rules.gll(aux="0c1f")))
    assert measured(local) == measured(gll)
    local.epoch = 2
    assert measured(local).whole == ONE


def test_g_scaled_by_c_scales_sigma_by_c():
    """By 4, so that no product is rounded: every loss of the rule is multiplied, and L is not."""
    learner = trained(make_learner(ml.rules.gll()))
    plain = measured(learner)
    with hooked(learner.modules, [Scale() for _ in learner.modules]):
        times_four = measured(learner)
    for one, four in zip((plain.whole, *plain.modules), (times_four.whole, *times_four.modules), strict=True):
        assert (four.sigma, four.norm_ratio, four.cosine) == (4 * one.sigma, 4 * one.norm_ratio, one.cosine)
    assert times_four.second_moment == 16 * plain.second_moment
    assert times_four.gradient_norm == plain.gradient_norm


class Scale(Hook):
    """A loss times 4."""

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        if part != "objective":
            return error
        for g in grads.values():
            g *= 4
        return None if error is None else 4 * error


# ------------------------------------------------------------------ other sources of the same numbers


def test_of_gll_they_are_those_of_jax():
    """Gradients by jax.grad, and the products by NumPy, from the definitions of (9), (10) and (12)."""
    from minilocal.verify.jax_cpu import jax_on_cpu
    from minilocal.verify.reference.synchronous import gradients

    gll, bp = verified(named("gll", "mlp", 3)), verified(named("bp", "mlp", 3))
    x = ml.rng(5).standard_normal((12, *network("mlp").shape))
    y = ml.rng(6).integers(4, size=12)
    result = measured(gll, x, y, batch_size=4)
    names, every = of_modules(gll), main_names(gll)
    sums: dict[str, dict[str, Any]] = {"gll": {}, "bp": {}}
    squares = 0.0
    with jax_on_cpu():
        for i in (0, 4, 8):
            for name, learner in (("gll", gll), ("bp", bp)):
                weights = {n: host(gll.parameters()[n]) for n in learner.parameters()}
                grads = gradients(
                    learner.rule, learner.modules, weights, {}, x[i : i + 4], y[i : i + 4], PassContext()
                )[1]
                for n in every:
                    sums[name][n] = sums[name].get(n, 0) + grads[n] / 3
                    squares += float((grads[n] ** 2).sum()) / 3 if name == "gll" else 0
    # Each gradient agrees with JAX's to 1e-12 of its norm (`verify` demands that), and so do the means. A product of
    # two is then off by 2e-12 of the product of norms, which is 1/|cos| times the product itself.
    for group, ours in zip([every, *names], [result.whole, *result.modules], strict=True):
        g, final = (np.concatenate([np.ravel(sums[name][n]) for n in group]) for name in ("gll", "bp"))
        cosine = g @ final / math.sqrt((g @ g) * (final @ final))
        close = 5e-12 / abs(cosine)
        assert ours.sigma == pytest.approx(g @ final / (final @ final), rel=close)
        assert ours.norm_ratio == pytest.approx(math.sqrt((g @ g) / (final @ final)), rel=5e-12)
        assert ours.cosine == pytest.approx(cosine, rel=close)
    assert result.second_moment == pytest.approx(squares, rel=5e-12)
    assert result.modules[0].cosine < 0.9, "local losses and the final one differ"


def test_two_layers_by_hand():
    """One image of one number x, one hidden unit w x > 0, two classes; the local classifier has weights c."""
    net = ml.nets.mlp((1,), classes=2, channels=1, size=1, rng=ml.rng(0))
    learner = make_learner(ml.rules.gll(), net, 2)
    learner.load({name: np.zeros_like(host(a)) for name, a in learner.parameters().items()})
    w, v, c, x = 2.0, np.array([1.0, -0.5]), np.array([0.25, 0.75]), 1.5
    weights = {n: a for n, a in learner.parameters().items() if host(a).ndim == 2}
    first, second = (next(n for n in module.parameters() if n in weights) for module in learner.modules)
    (local,) = set(weights) - {first, second}
    learner.load({first: np.array([[w]]), second: v[None], local: c[None]})

    h, label = w * x, 0
    softmax = lambda z: np.exp(z) / np.exp(z).sum()  # noqa: E731
    e, e_c = softmax(v * h) - np.eye(2)[label], softmax(c * h) - np.eye(2)[label]
    # (3): δ of the hidden unit is v·e under BP and c·e_c under GLL; its weight has δ x, its bias δ
    final, local_error = float(v @ e), float(c @ e_c)
    of_last = float(e @ e) * (h * h + 1)  # weights e h, biases e
    norm, both = final**2 * (x * x + 1) + of_last, final * local_error * (x * x + 1) + of_last
    of_rule = local_error**2 * (x * x + 1) + of_last

    result = measured(learner, np.full((1, 1, 1, 1), x), np.array([label]))
    assert result.whole.sigma == pytest.approx(both / norm, rel=1e-14)
    assert result.whole.norm_ratio == pytest.approx(math.sqrt(of_rule / norm), rel=1e-14)
    assert result.modules[0].sigma == pytest.approx(local_error / final, rel=1e-14)
    assert result.modules[0].cosine == pytest.approx(math.copysign(1, local_error * final), rel=1e-14)
    assert result.modules[1] == ONE
    assert result.second_moment == pytest.approx(of_rule, rel=1e-14)  # of one batch: ‖E[g]‖²
    assert result.gradient_norm == pytest.approx(math.sqrt(norm), rel=1e-14)


def test_the_mean_is_over_batches_and_the_moment_of_each():
    """E[g] of two batches is the mean of their gradients, whatever their sizes; E‖g‖² is the mean of their squares."""
    learner = trained(make_learner(ml.rules.gll()))
    parts = [(X[:8], Y[:8]), (X[8:16], Y[8:16]), (X[16:], Y[16:])]
    grads = [learner.gradients(x, y)[1] for x, y in parts]
    main = list(learner.net.parameters())
    squares = [sum(float((g[n] * g[n]).sum()) for n in main) for g in grads]
    result = measured(learner)
    assert result.second_moment == pytest.approx(np.mean(squares), rel=1e-13)
    mean = [sum((host(g[n]) for g in grads), np.zeros(())) / 3 for n in main]
    norm = math.sqrt(sum(float((a * a).sum()) for a in mean))
    assert result.whole.norm_ratio * result.gradient_norm == pytest.approx(norm, rel=1e-13)
    assert measured(learner, batches=2) == measured(learner, X[:16], Y[:16]) != result


def test_only_main_parameters_count():
    learner = trained(make_learner(ml.rules.gll(aux="1c2f")))
    names = main_names(learner)
    assert sorted(names) == sorted(learner.net.parameters()) and len(learner.parameters()) > len(names)
    _, grads = learner.gradients(X, Y)
    squares = {name: float((g * g).sum()) for name, g in grads.items()}
    result = measured(learner, batch_size=len(X))
    assert result.second_moment == pytest.approx(sum(squares[name] for name in names), rel=1e-13)
    assert sum(squares.values()) > 1.01 * result.second_moment, "auxiliary networks have gradients too"


# ------------------------------------------------------------------ the numbers themselves


def test_equal_products_are_one_exactly():
    for number in (3.0, 1e-300, 1e300, 7e-7):
        assert Agreement.of(number, number, number) == ONE
    assert Agreement.of(0.0, 0.0, 2.0).sigma == 0 and math.isnan(Agreement.of(0.0, 0.0, 2.0).cosine)
    nothing = Agreement.of(0.0, 0.0, 0.0)
    assert math.isnan(nothing.sigma) and math.isnan(nothing.norm_ratio)
    assert Agreement.of(0.0, 1.0, 0.0).norm_ratio == math.inf


def test_sums_are_in_float64():
    """2²⁴ + 1 is no float32."""
    big, one = (np.full((1,), number, "float32") for number in (2.0**24, 1.0))
    sums = MeanGradients(["w"], {"w": one})
    for g in (big, one):
        sums.add({"w": g}, {"w": one})
    assert sums.rule["w"][0] == 2**24 + 1
    ((both, rule, final),), moment = sums.products([["w"]])
    assert (both, rule, final, moment) == ((2**24 + 1) / 2, ((2**24 + 1) / 2) ** 2, 1, (2.0**48 + 1) / 2)
    assert inner(big, one) == 2**24 and inner(big, one).dtype == "float64"


def test_a_parameter_without_a_gradient_counts_as_0():
    w = np.ones(2)
    sums = MeanGradients(["a", "b"], {"a": w, "b": w})
    sums.add({"a": w}, {"a": w, "b": w})
    assert sums.products([["a", "b"]])[0] == [[2.0, 2.0, 4.0]]


def test_json_has_what_a_row_needs():
    entry = measured(trained(make_learner(ml.rules.gll()))).to_json()
    assert list(entry) == ["batches", "sigma", "norm_ratio", "cosine", "gradient_norm", "second_moment", "modules"]
    assert {name: len(values) for name, values in entry["modules"].items()} == {
        "sigma": 4,
        "norm_ratio": 4,
        "cosine": 4,
    }
    assert entry["sigma"] == pytest.approx(entry["norm_ratio"] * entry["cosine"], rel=1e-15)


# ------------------------------------------------------------------ nothing changes


def states(learner: ml.Learner) -> dict[str, np.ndarray]:
    return {name: a.copy() for name, a in learner.state().items()}


@pytest.mark.parametrize("name", EVERY)
def test_the_learner_is_the_same_afterwards(name):
    learner = trained(make_learner(EVERY[name]))
    silent, before = copy.deepcopy(learner), states(learner)
    first, again = measured(learner), measured(learner)
    after = states(learner)
    assert first == again or math.isnan(first.whole.sigma)
    assert before.keys() == after.keys() and all(np.array_equal(before[n], after[n]) for n in before)
    trained(learner, 5)
    trained(silent, 5)
    ours, theirs = states(learner), states(silent)
    assert all(np.array_equal(ours[n], theirs[n]) for n in theirs)


@pytest.mark.parametrize("name", ["gll", "fdg", "dgl, asynchronous"])
def test_it_is_the_same_after_an_interruption_too(name):
    learner = trained(make_learner(EVERY[name]))
    before = states(learner)

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ml.convergence.over(learner, lambda: iter([(X[:8], Y[:8])]), between=stop)
    after = states(learner)
    assert all(np.array_equal(before[n], after[n]) for n in before)


@pytest.mark.parametrize("name", ["gll", "backlink", "ddg", "dgl, asynchronous"])
def test_on_a_device_one_copy_comes_home(name, monkeypatch):
    """And the numbers are the host's, to the round-off of another order of sums."""
    net = ml.nets.mlp((9, 8, 7), classes=4, channels=3, size=8, rng=ml.rng(0))
    on_host = trained(make_learner(EVERY[name], net))
    on_device = make_learner(EVERY[name], net, device=fake)
    on_device.restore(on_host.state())
    x, y = fake.asarray(X), fake.asarray(Y)
    expected = measured(on_host)
    with counting(collect=False) as counts:
        result = ml.convergence.measure(on_device, x, y, batch_size=BATCH)
    assert counts.downloads == 1
    assert result.whole.sigma == pytest.approx(expected.whole.sigma, rel=1e-9)
    assert result.second_moment == pytest.approx(expected.second_moment, rel=1e-9)


# ------------------------------------------------------------------ at the door


def batches_of_none() -> Iterator[tuple[Array, Array]]:
    return iter(())


class OneOfTwo(ml.Learner):
    """A Learner of which this process trains two modules."""

    @property
    def own_modules(self) -> range:
        return range(2)


def test_bad_input_is_one_line():
    learner = make_learner(ml.rules.gll())
    wrong: Any = ml.convergence.measure
    over: Any = ml.convergence.over
    part = make_learner(ml.rules.gll())
    part.__class__ = OneOfTwo
    for call, words in [
        (lambda: wrong(part, X, Y), "this Learner is trained by several: learner.save(path) there"),
        (lambda: wrong(NET, X, Y), "convergence was asked of a Net: give minilocal.Learner"),
        (lambda: wrong(ml.Learner, X, Y), "call it, Learner()"),
        (lambda: wrong(learner, X[:, :4], Y), "images (20, 4, 8, 3) met convolutions"),
        (lambda: wrong(learner, X, Y[:3]), "labels (3,) met 20 images"),
        (lambda: wrong(learner, X, Y, batch_size=0), "batch_size = 0"),
        (lambda: wrong(learner, X, Y, batches=0), "batches = 0"),
        (lambda: wrong(learner, X, Y, lr=-1), "-1"),
        (lambda: over(learner, batches_of_none), "there is none"),
        (lambda: over(learner, [(X, Y)]), "batches came as a list: give a function"),
        (lambda: over(learner, lambda: [X]), "a batch came as a ndarray: give a pair"),
        (lambda: over(learner, lambda: [(X, Y), (X, Y[:3])]), "labels (3,) met 20 images"),
    ]:
        with pytest.raises(UserError) as caught:
            call()
        assert words in str(caught.value) and "\n" not in str(caught.value)
