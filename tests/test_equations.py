"""Equations (1) to (6) and Algorithm 1 against autograd, each under its number; and the engine against Algorithm 1."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import equations as eq
from minilocal.array import Array

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp = jax.numpy

from minilocal.verify.algorithm import ALPHA, CUTS, by_engine, network, relative_errors  # noqa: E402
from minilocal.verify.compare import errors  # noqa: E402
from tests.helpers.host import host  # noqa: E402

B, LR = 7, 0.3


def relative_error(ours, reference):
    """The relative error of one array, as verify measures it."""
    return errors({"": ours}, {"": reference})[""]


@pytest.fixture
def a():
    """Arrays by their letters: a stack of four layers, the classifier of the third, a batch of columns, labels."""
    rng = np.random.default_rng(0)
    widths = [6, 5, 8, 4, 3]
    w = [rng.standard_normal((o, i)) for i, o in pairwise(widths)]
    b = [rng.standard_normal(o) for o in widths[1:]]
    return {
        "w": w,
        "b": b,
        "w_c": rng.standard_normal((3, 4)),
        "x": rng.standard_normal((6, B)),
        "y": rng.integers(0, 3, B),
    }


def forward_all(w, b, x):
    """(z, x) of every layer, by (1)."""
    zs: list[Any] = []
    xs = [x]
    for w_n, b_n in zip(w, b, strict=True):
        z, y = eq.forward(w_n, b_n, xs[-1])
        zs, xs = [*zs, z], [*xs, y]
    return zs, xs


def first_error(z, y):
    """δ of a classifier under the mean cross entropy: p - onehot(y), and the 1/B of the mean, here and nowhere else."""
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    p[y, np.arange(len(y))] -= 1
    return p / len(y)


def mean_cross_entropy(z, y):
    """For JAX; z (C, B)."""
    return -jax.nn.log_softmax(z, axis=0)[y, jnp.arange(len(y))].mean()


def losses(w, a):
    """(L_k, L_{k+1}) for JAX: layers 1 to 3 are module k, with its classifier; layer 4 is the output, module k+1."""
    x = a["x"]
    for w_n, b_n in zip(w[:3], a["b"][:3], strict=True):
        x = jnp.maximum(w_n @ x + b_n[:, None], 0)
    return mean_cross_entropy(a["w_c"] @ x, a["y"]), mean_cross_entropy(w[3] @ x + a["b"][3][:, None], a["y"])


def both_gradients(a):
    """∂L_k/∂w and ∂L_{k+1}/∂w of every layer, by JAX."""
    return jax.grad(lambda w: losses(w, a)[0])(a["w"]), jax.grad(lambda w: losses(w, a)[1])(a["w"])


def pairs_of(a, length, alpha, weighting="literal"):
    """(δ_lc, δ_gl) of the last `length` of layers 1 to 3, and those layers' inputs."""
    zs, xs = forward_all(a["w"], a["b"], a["x"])
    delta_c, delta_next = first_error(a["w_c"] @ xs[3], a["y"]), first_error(zs[3], a["y"])
    pairs = eq.linked_errors(
        zs[:3], a["w"][:3], a["w_c"], delta_c, a["w"][3], delta_next, length=length, alpha=alpha, weighting=weighting
    )
    return pairs, xs[3 - length : 3]


# Each equation


def test_equation_1_is_the_forward_of_a_layer(a):
    z, y = eq.forward(a["w"][0], a["b"][0], a["x"])
    assert relative_error(z, jnp.einsum("oi,ib->ob", a["w"][0], a["x"]) + a["b"][0][:, None]) < 1e-9
    assert relative_error(y, jax.nn.relu(z)) == 0
    tanh: Any = np.tanh
    assert relative_error(eq.forward(a["w"][0], a["b"][0], a["x"], tanh)[1], tanh(z)) == 0


def test_equation_1_takes_one_column_or_several(a):
    z, _ = eq.forward(a["w"][0], a["b"][0], a["x"])
    for n in range(B):
        assert relative_error(eq.forward(a["w"][0], a["b"][0], a["x"][:, n])[0], z[:, n]) < 1e-12


def test_equation_2_is_a_step_down_the_gradient(a):
    w, b, x = a["w"][0], a["b"][0], a["x"]
    delta = first_error(w[:3] @ x + b[:3, None], a["y"])
    loss = jax.grad(lambda w, b: mean_cross_entropy(w @ x + b[:, None], a["y"]), (0, 1))
    dw, db = loss(w[:3], b[:3])
    assert relative_error(eq.update(w[:3], delta, x, LR), w[:3] - LR * dw) < 1e-9
    assert relative_error(eq.update(b[:3, None], delta, np.ones((1, B)), LR)[:, 0], b[:3] - LR * db) < 1e-9
    one_by_one = sum(eq.outer(delta[:, n], x[:, n]) for n in range(B))
    assert relative_error(one_by_one, dw) < 1e-9


@pytest.mark.parametrize(
    ("f", "df"), [(jax.nn.relu, eq.relu_derivative), (jnp.tanh, lambda z: 1 - np.tanh(z) ** 2)], ids=["relu", "tanh"]
)
def test_equation_3_is_the_gradient_at_z(a, f, df):
    z = forward_all(a["w"], a["b"], a["x"])[0][0]
    above = jax.grad(lambda z_above: jnp.sin(z_above).sum())  # any loss will do: its δ is random enough
    z_above = a["w"][1] @ f(z)
    expected = jax.grad(lambda z: jnp.sin(a["w"][1] @ f(z)).sum())(z)
    assert relative_error(eq.backward(z, a["w"][1], np.asarray(above(z_above)), df), expected) < 1e-9


def test_the_unnumbered_update_of_gll_steps_down_the_modules_own_loss(a):
    zs, xs = forward_all(a["w"], a["b"], a["x"])
    own = eq.local_errors(zs[:3], a["w"][:3], a["w_c"], first_error(a["w_c"] @ xs[3], a["y"]))
    for w, delta, x, g in zip(a["w"], own, xs, both_gradients(a)[0], strict=False):
        assert relative_error(eq.update_local(w, delta, x, LR), w - LR * g) < 1e-9


def test_equations_1_2_3_are_backpropagation(a):
    zs, xs = forward_all(a["w"], a["b"], a["x"])
    deltas = [*eq.local_errors(zs[:3], a["w"][:3], a["w"][3], first_error(zs[3], a["y"])), first_error(zs[3], a["y"])]
    for w, delta, x, g in zip(a["w"], deltas, xs, both_gradients(a)[1], strict=False):
        assert relative_error(eq.update(w, delta, x, 1.0), w - g) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equation_4_mixes_two_gradients_at_the_top(a, alpha):
    """δ of the last layer is ∂(α L_k + (1-α) L_{k+1})/∂z, and each half is its own loss's."""
    (delta_lc, delta_gl), *_ = pairs_of(a, 1, alpha)[0]
    z = forward_all(a["w"], a["b"], a["x"])[0][2]
    own = jax.grad(lambda z: mean_cross_entropy(a["w_c"] @ jax.nn.relu(z), a["y"]))(z)
    above = jax.grad(lambda z: mean_cross_entropy(a["w"][3] @ jax.nn.relu(z) + a["b"][3][:, None], a["y"]))(z)
    assert relative_error(delta_lc, alpha * own) < 1e-9
    assert relative_error(delta_gl, (1 - alpha) * above) < 1e-9
    assert relative_error(delta_lc + delta_gl, alpha * own + (1 - alpha) * above) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equation_5_multiplies_by_alpha_once_more(a, alpha):
    (low_lc, low_gl), (top_lc, top_gl) = pairs_of(a, 2, alpha)[0]
    z = forward_all(a["w"], a["b"], a["x"])[0][1]
    _, down = jax.vjp(lambda z: a["w"][2] @ jax.nn.relu(z), z)
    assert relative_error(low_lc, alpha * down(top_lc)[0]) < 1e-9
    assert relative_error(low_gl, (1 - alpha) * down(top_gl)[0]) < 1e-9
    as_printed = eq.relu_derivative(z) * (a["w"][2].T @ (alpha * top_lc + (1 - alpha) * top_gl))
    assert relative_error(low_lc + low_gl, as_printed) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equation_5_unfolded_does_not(a, alpha):
    (low_lc, low_gl), (top_lc, top_gl) = pairs_of(a, 2, alpha, "unfolded")[0]
    z = forward_all(a["w"], a["b"], a["x"])[0][1]
    _, down = jax.vjp(lambda z: a["w"][2] @ jax.nn.relu(z), z)
    assert relative_error(low_lc, down(top_lc)[0]) < 1e-9
    assert relative_error(low_gl, down(top_gl)[0]) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_equation_6_steps_down_both_gradients(a, alpha, weighting):
    """The layer j below the top takes a_j ∂L_k/∂w + b_j ∂L_{k+1}/∂w, with the powers of α written out here."""
    own, above = both_gradients(a)
    pairs, xs = pairs_of(a, 3, alpha, weighting)
    for n, ((delta_lc, delta_gl), x) in enumerate(zip(pairs, xs, strict=True)):
        power = 3 - n if weighting == "literal" else 1
        expected = a["w"][n] - LR * (alpha**power * own[n] + (1 - alpha) ** power * above[n])
        assert relative_error(eq.update_linked(a["w"][n], delta_lc, delta_gl, x, LR), expected) < 1e-9


def test_a_length_of_nothing_links_nothing_and_one_too_long_stops_at_the_floor(a):
    assert pairs_of(a, 0, 0.5)[0] == []
    zs, xs = forward_all(a["w"], a["b"], a["x"])
    ends = a["w_c"], first_error(a["w_c"] @ xs[3], a["y"]), a["w"][3], first_error(zs[3], a["y"])
    assert len(eq.linked_errors(zs[:3], a["w"][:3], *ends, length=9, alpha=0.5)) == 3
    with pytest.raises(ml.UserError, match="weighting 'unfold' is not known; did you mean 'unfolded'"):
        eq.linked_errors(zs[:3], a["w"][:3], *ends, length=1, alpha=0.5, weighting="unfold")


def everything(a):
    """One result of every function."""
    zs, xs = forward_all(a["w"], a["b"], a["x"])
    delta = eq.backward(zs[2], a["w"][3], zs[3])
    pair = eq.link(zs[2], a["w_c"], a["w_c"] @ xs[3], a["w"][3], zs[3], 0.3)
    below = *eq.link_below(zs[1], a["w"][2], *pair, 0.3), *eq.link_below_unfolded(zs[1], a["w"][2], *pair)
    new = eq.update(a["w"][2], delta, xs[2], 0.3), eq.update_linked(a["w"][2], *pair, xs[2], 0.3)
    return [*zs, *xs, delta, *pair, *below, *new]


def cast(a, to):
    return {key: [to(v) for v in value] if isinstance(value, list) else to(value) for key, value in a.items()}


def test_float32_stays_float32_and_nothing_is_written_into(a):
    a = cast(a, lambda v: v.astype("float32"))
    for group in a.values():
        for array in group if isinstance(group, list) else [group]:
            array.flags.writeable = False
    assert {r.dtype for r in everything(a)} == {np.dtype("float32")}


def test_arrays_of_another_library_stay_there(a):
    results = everything(cast(a, jnp.asarray))
    assert all(isinstance(r, jax.Array) for r in results)
    assert all(relative_error(r, ours) < 1e-9 for r, ours in zip(results, everything(a), strict=True))


# Algorithm 1

UNITS = 6


def run(K, length=1, alpha=ALPHA, **readings):
    """The network after Algorithm 1, as [w, b, w, b, ...] of its layers and of its classifiers."""
    return [[a for pair in part for a in pair] for part in by_engine(K, length, alpha, **readings)]


def same(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("error", ["own", "own-scaled", "total"])
@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
@pytest.mark.parametrize(("K", "length"), CUTS)
def test_algorithm_1_is_a_gradient_step_in_every_reading(K, length, weighting, error):
    gaps = relative_errors(K, length, weighting, error)
    assert max(gaps.values()) < 1e-9, gaps


def test_a1_the_three_errors_differ_only_where_the_layer_above_is_linked():
    for K, length in [(3, 1), (2, 2), (1, 3)]:  # modules longer than l
        assert same(run(K, length)[0], run(K, length, error="total")[0])
        assert same(run(K, length)[0], run(K, length, error="own-scaled")[0])
    for K, length in [(6, 1), (3, 2)]:
        networks = [run(K, length, error=error)[0] for error in ("own", "own-scaled", "total")]
        n = UNITS // K
        for a, b in [(0, 1), (0, 2), (1, 2)]:  # below the boundary under module K-1 in all pairs, and nowhere above
            assert not any(np.array_equal(networks[a][i], networks[b][i]) for i in range(0, 2 * n * (K - 2), 2))
            assert same(networks[a][2 * n * (K - 2) :], networks[b][2 * n * (K - 2) :])


def test_a1_the_total_error_at_alpha_0_is_backpropagation_bit_for_bit():
    for K, length in [(6, 1), (3, 2), (2, 3)]:
        linked = run(K, length, 0.0, error="total")[0]
        layers, classifiers, x, labels = network(K)
        bp = eq.algorithm_1(layers, classifiers[-1:], x, labels, [UNITS], length=0, alpha=0.0, eta=0.3)
        assert same(linked, [a for pair in bp[0] for a in pair])


@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_a3_scaled_below_the_range_alpha_0_stops_all_learning_there(weighting):
    layers = network(2)[0]
    still = run(2, 1, 0.0, below="scaled", weighting=weighting)[0]
    assert same(still[:4], [a for pair in layers[:2] for a in pair])
    assert not any(np.array_equal(a, b) for a, b in zip(still[4:], run(2, 1, 0.0)[0], strict=False))
    gll, scaled = run(2, 0)[0], run(2, 0, below="scaled", weighting=weighting)[0]
    before = [a for pair in layers for a in pair]
    for j in range(3):  # l = 0 would not be GLL: the layer j below the top moves by α^(j+1), or by α
        share = ALPHA ** (3 - j) if weighting == "literal" else ALPHA
        for i in (2 * j, 2 * j + 1):
            assert relative_error(scaled[i] - before[i], share * (gll[i] - before[i])) < 1e-9


def test_a4_as_printed_the_last_layers_of_module_k_never_learn():
    layers = network(3)[0]
    printed, ours = run(3, 1, last="printed")[0], run(3, 1)[0]
    assert same(printed[-2:], layers[-1]) and not same(ours[-2:], layers[-1])
    assert same(printed[:-2], ours[:-2])


def test_a5_in_place_the_loops_differ_by_the_order_of_eta():
    """Where every error is made before the first update they are equal; else by η times the step, not by a constant."""
    assert same(run(1, 0, order="printed")[0][-2:], run(1, 0)[0][-2:])
    gaps = []
    for eta in (1e-3, 1e-4):
        at_once, printed = (run(3, 2, eta=eta, order=order)[0] for order in ("together", "printed"))
        before = [a for pair in network(3)[0] for a in pair]
        step = max(abs(a - b).max() for a, b in zip(at_once, before, strict=True))
        gaps.append(max(abs(a - b).max() for a, b in zip(at_once, printed, strict=True)) / step)
    assert gaps[0] > 1e-5 and 8 < gaps[0] / gaps[1] < 12


def test_a6_lengths_and_indices_are_two_spellings_of_one_split():
    for ours, theirs in zip(run(3, 2), run(3, 2, modules=[2, 4, 6], counts="indices"), strict=True):
        assert same(ours, theirs)
    for modules, counts in [
        ([2, 4, 6], "lengths"),
        ([2, 2, 2], "indices"),
        ([2, 2], "lengths"),
        ([6, 0, 0], "lengths"),
    ]:
        with pytest.raises(ml.UserError, match=f"modules .* \\({counts}\\) met 6 layers, 3 classifiers"):
            run(3, 1, modules=modules, counts=counts)


def test_a7_the_classifiers_own_weights():
    before = [a for pair in network(3)[1] for a in pair]
    gradient, scaled, fixed = (run(3, 1, classifier=way)[1] for way in ("gradient", "scaled", "fixed"))
    assert same(fixed, before)
    for i, share in enumerate([ALPHA] * 4 + [1, 1]):  # the network's own, of module K, is nobody's to scale
        assert relative_error(scaled[i] - before[i], share * (gradient[i] - before[i])) < 1e-9


def test_a8_a_bias_moves_by_its_error_added_over_the_columns():
    layers, classifiers, x, labels = network(1)
    w, b = map(host, layers[0])
    wide: list[tuple[Array, Array]] = [(np.hstack([w, b[:, None]]), np.zeros(len(b)))]  # the bias is a weight, its x 1
    ours = eq.algorithm_1(
        layers[:1], [(classifiers[0][0][:, :5], classifiers[0][1])], x, labels, [1], length=0, alpha=0, eta=LR
    )
    ones = np.vstack([x, np.ones((1, B))])
    theirs = eq.algorithm_1(
        wide, [(classifiers[0][0][:, :5], classifiers[0][1])], ones, labels, [1], length=0, alpha=0, eta=LR
    )
    w, b = map(host, ours[0][0])
    assert relative_error(np.hstack([w, b[:, None]]), theirs[0][0][0]) < 1e-9


@pytest.mark.parametrize("option", ["weighting", "error", "below", "last", "order", "counts", "classifier"])
def test_an_unknown_reading_is_one_line(option):
    with pytest.raises(ml.UserError, match=f"^{option} 'other' is not known"):
        run(3, 1, **{option: "other"})


# The engine against Algorithm 1


def make_learner(length, alpha, modules, weighting="literal", error="own"):
    rng = ml.rng(4)
    net = ml.nets.mlp((6, 5, 7, 6, 5), classes=4, channels=1, size=3, rng=rng)
    rule = ml.rules.backlink(length=length, alpha=alpha, weighting=weighting, error=error, aux="0c1f")
    return ml.Learner(net, rule, modules=modules, rng=rng, dtype="float64")


def batch():
    rng = np.random.default_rng(1)
    return rng.standard_normal((B, 3, 3, 1)), rng.integers(0, 4, B)


def by_algorithm_1(learner, images, y, length, alpha, **readings):
    """What Algorithm 1 makes of every parameter at η = 1: {name: gradient}, rows again.

    The network's output layer is module K's classifier. Where it is a module of its own, module K has no layer, and the
    error that it sends down is that of its classifier: a module of one layer whose weights are 1 and whose z is x > 0.
    """
    p = learner.parameters()
    columns = [(p[f"layers.{u}.weight"].T, p[f"layers.{u}.bias"]) for u in range(UNITS)]
    heads = [(p[f"aux.{k}.0.weight"].T, p[f"aux.{k}.0.bias"]) for k in range(len(learner.modules) - 1)]
    layers, sizes = columns[:-1], [len(m.units) for m in learner.modules]
    sizes[-1] -= 1
    if sizes[-1] == 0:
        width = len(layers[-1][1])
        layers, sizes[-1] = [*layers, (np.eye(width), np.full(width, 1e-300))], 1  # the ReLU stays open where x is 0
    classifiers = [*heads, columns[-1]]
    x = images.reshape(B, -1).T
    new = eq.algorithm_1(layers, classifiers, x, y, sizes, length=length, alpha=alpha, eta=1.0, **readings)
    names = [
        [f"layers.{u}" for u in range(UNITS - 1)],
        [f"aux.{k}.0" for k in range(len(heads))] + [f"layers.{UNITS - 1}"],
    ]
    grads: dict[str, Any] = {}
    for part, before, after in zip(names, (layers, classifiers), new, strict=True):
        for name, (w, b), (w_new, b_new) in zip(part, before, after, strict=False):
            grads |= {f"{name}.weight": (w - w_new).T, f"{name}.bias": b - b_new}
    return grads


def differing(theirs, ours):
    """Names whose gradients are not the same to 1e-9."""
    assert ours.keys() == theirs.keys()
    return {name for name, e in errors(ours, theirs).items() if e > 1e-9}


@pytest.mark.filterwarnings("ignore:BackLink length")
@pytest.mark.parametrize("modules", [1, 2, 3, 4, 6, [1, 4, 1], [3, 1, 2]], ids=str)
@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
@pytest.mark.parametrize("error", ["own", "own-scaled", "total"])
def test_the_engine_is_algorithm_1_unit_by_unit(modules, weighting, error):
    for length in range(UNITS + 1):
        for alpha in (0.0, 0.25, 0.5, 1.0):
            ours, (x, y) = make_learner(length, alpha, modules, weighting, error), batch()
            theirs = by_algorithm_1(ours, x, y, length, alpha, weighting=weighting, error=error)
            assert not differing(theirs, ours.gradients(x, y)[1]), (length, alpha)


@pytest.mark.filterwarnings("ignore:BackLink length")
def test_a_whole_module_is_a_length_that_every_module_has():
    for error in ("own", "own-scaled", "total"):
        whole, long = (make_learner(l, 0.5, [3, 1, 2], error=error).gradients(*batch())[1] for l in ("module", UNITS))
        assert all(np.array_equal(whole[name], long[name]) for name in long)


def test_the_total_error_locks_every_module_to_the_last_one():
    """One unit a module, l = 1: change the output layer, and under the total error the first layer learns otherwise.
    That is backpropagation's lock. The module's own error stops after one module."""
    for error, reached in [("own", {4, 5}), ("own-scaled", {4, 5}), ("total", set(range(UNITS)))]:
        ours = make_learner(1, 0.5, UNITS, error=error)
        before = ours.gradients(*batch())[1]
        ours.load({"layers.5.weight": 2 * ours.parameters()["layers.5.weight"]})
        assert {name[:8] for name in differing(before, ours.gradients(*batch())[1])} == {f"layers.{n}" for n in reached}
