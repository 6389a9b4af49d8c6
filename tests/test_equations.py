"""Equations (1) to (6) against autograd, each under its number; and the engine against them, layer by layer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import minilocal as ml
from minilocal import equations as eq

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp = jax.numpy

B, LR = 7, 0.3


def gap(ours, theirs, largest=1.0):
    """DESIGN.md §6: largest difference / (largest reference + 1e-6 × the largest gradient of the case)."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return abs(ours - theirs).max() / (abs(theirs).max() + 1e-6 * largest)


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


def climb(w, b, x):
    """(z, x) of every layer, by (1)."""
    zs, xs = [], [x]
    for w_n, b_n in zip(w, b, strict=True):
        z, h = eq.forward(w_n, b_n, xs[-1])
        zs, xs = [*zs, z], [*xs, h]
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
    zs, xs = climb(a["w"], a["b"], a["x"])
    delta_c, delta_next = first_error(a["w_c"] @ xs[3], a["y"]), first_error(zs[3], a["y"])
    pairs = eq.linked_errors(
        zs[:3], a["w"][:3], a["w_c"], delta_c, a["w"][3], delta_next, length=length, alpha=alpha, weighting=weighting
    )
    return pairs, xs[3 - length : 3]


# Each equation


def test_equation_1_climbs(a):
    z, h = eq.forward(a["w"][0], a["b"][0], a["x"])
    assert gap(z, jnp.einsum("oi,ib->ob", a["w"][0], a["x"]) + a["b"][0][:, None]) < 1e-9
    assert gap(h, jax.nn.relu(z)) == 0
    assert gap(eq.forward(a["w"][0], a["b"][0], a["x"], np.tanh)[1], np.tanh(z)) == 0


def test_equation_1_takes_one_column_or_several(a):
    z, _ = eq.forward(a["w"][0], a["b"][0], a["x"])
    for n in range(B):
        assert gap(eq.forward(a["w"][0], a["b"][0], a["x"][:, n])[0], z[:, n]) < 1e-12


@pytest.mark.parametrize(
    ("f", "df"), [(jax.nn.relu, eq.relu_derivative), (jnp.tanh, lambda z: 1 - np.tanh(z) ** 2)], ids=["relu", "tanh"]
)
def test_equation_2_is_the_gradient_at_z(a, f, df):
    z = climb(a["w"], a["b"], a["x"])[0][0]
    above = jax.grad(lambda z_above: jnp.sin(z_above).sum())  # any loss will do: its δ is random enough
    z_above = a["w"][1] @ f(z)
    expected = jax.grad(lambda z: jnp.sin(a["w"][1] @ f(z)).sum())(z)
    assert gap(eq.error(z, a["w"][1], np.asarray(above(z_above)), df), expected) < 1e-9


def test_equation_3_is_a_step_down_the_gradient(a):
    w, b, x = a["w"][0], a["b"][0], a["x"]
    delta = first_error(w[:3] @ x + b[:3, None], a["y"])
    loss = jax.grad(lambda w, b: mean_cross_entropy(w @ x + b[:, None], a["y"]), (0, 1))
    dw, db = loss(w[:3], b[:3])
    assert gap(eq.update(w[:3], delta, x, LR), w[:3] - LR * dw) < 1e-9
    assert gap(eq.update(b[:3, None], delta, np.ones((1, B)), LR)[:, 0], b[:3] - LR * db) < 1e-9
    one_by_one = sum(eq.outer(delta[:, n], x[:, n]) for n in range(B))
    assert gap(one_by_one, dw) < 1e-9


def test_equations_1_2_3_are_backpropagation(a):
    zs, xs = climb(a["w"], a["b"], a["x"])
    deltas = [*eq.local_errors(zs[:3], a["w"][:3], a["w"][3], first_error(zs[3], a["y"])), first_error(zs[3], a["y"])]
    for w, delta, x, g in zip(a["w"], deltas, xs, both_gradients(a)[1], strict=False):
        assert gap(eq.update(w, delta, x, 1.0), w - g) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equation_4_mixes_two_gradients_at_the_top(a, alpha):
    """δ of the last layer is ∂(α L_k + (1-α) L_{k+1})/∂z, and each half is its own loss's."""
    (delta_lc, delta_gl), *_ = pairs_of(a, 1, alpha)[0]
    z = climb(a["w"], a["b"], a["x"])[0][2]
    own = jax.grad(lambda z: mean_cross_entropy(a["w_c"] @ jax.nn.relu(z), a["y"]))(z)
    above = jax.grad(lambda z: mean_cross_entropy(a["w"][3] @ jax.nn.relu(z) + a["b"][3][:, None], a["y"]))(z)
    assert gap(delta_lc, alpha * own) < 1e-9
    assert gap(delta_gl, (1 - alpha) * above) < 1e-9
    assert gap(delta_lc + delta_gl, alpha * own + (1 - alpha) * above) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equation_5_multiplies_by_alpha_once_more(a, alpha):
    (low_lc, low_gl), (top_lc, top_gl) = pairs_of(a, 2, alpha)[0]
    z = climb(a["w"], a["b"], a["x"])[0][1]
    _, down = jax.vjp(lambda z: a["w"][2] @ jax.nn.relu(z), z)
    assert gap(low_lc, alpha * down(top_lc)[0]) < 1e-9
    assert gap(low_gl, (1 - alpha) * down(top_gl)[0]) < 1e-9
    as_printed = eq.relu_derivative(z) * (a["w"][2].T @ (alpha * top_lc + (1 - alpha) * top_gl))
    assert gap(low_lc + low_gl, as_printed) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_equation_5_unfolded_does_not(a, alpha):
    (low_lc, low_gl), (top_lc, top_gl) = pairs_of(a, 2, alpha, "unfolded")[0]
    z = climb(a["w"], a["b"], a["x"])[0][1]
    _, down = jax.vjp(lambda z: a["w"][2] @ jax.nn.relu(z), z)
    assert gap(low_lc, down(top_lc)[0]) < 1e-9
    assert gap(low_gl, down(top_gl)[0]) < 1e-9


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_equation_6_steps_down_both_gradients(a, alpha, weighting):
    """The layer j below the top takes a_j ∂L_k/∂w + b_j ∂L_{k+1}/∂w, with the powers of α written out here."""
    own, above = both_gradients(a)
    pairs, xs = pairs_of(a, 3, alpha, weighting)
    for n, ((delta_lc, delta_gl), x) in enumerate(zip(pairs, xs, strict=True)):
        power = 3 - n if weighting == "literal" else 1
        expected = a["w"][n] - LR * (alpha**power * own[n] + (1 - alpha) ** power * above[n])
        assert gap(eq.update_linked(a["w"][n], delta_lc, delta_gl, x, LR), expected) < 1e-9


def test_a_length_of_nothing_links_nothing_and_one_too_long_stops_at_the_floor(a):
    assert pairs_of(a, 0, 0.5)[0] == []
    zs, xs = climb(a["w"], a["b"], a["x"])
    ends = a["w_c"], first_error(a["w_c"] @ xs[3], a["y"]), a["w"][3], first_error(zs[3], a["y"])
    assert len(eq.linked_errors(zs[:3], a["w"][:3], *ends, length=9, alpha=0.5)) == 3
    with pytest.raises(ml.UserError, match="weighting 'unfold' is not known; did you mean 'unfolded'"):
        eq.linked_errors(zs[:3], a["w"][:3], *ends, length=1, alpha=0.5, weighting="unfold")


def everything(a):
    """One result of every function."""
    zs, xs = climb(a["w"], a["b"], a["x"])
    delta = eq.error(zs[2], a["w"][3], zs[3])
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
    assert all(gap(r, ours) < 1e-9 for r, ours in zip(results, everything(a), strict=True))


# The engine against the equations

UNITS = 6


def learner(length, alpha, modules, weighting="literal"):
    rng = ml.rng(4)
    net = ml.nets.mlp((6, 5, 7, 6, 5), classes=4, channels=1, size=3, rng=rng)
    rule = ml.rules.backlink(length=length, alpha=alpha, weighting=weighting, aux="0c1f")
    return ml.Learner(net, rule, modules=modules, rng=rng, dtype="float64")


def batch():
    rng = np.random.default_rng(1)
    return rng.standard_normal((B, 3, 3, 1)), rng.integers(0, 4, B)


def columns(learner):
    """w (O, I) and b (O,) of every unit, and of every module's classifier: the last is the output layer itself."""
    p = learner.parameters()
    w, b = ([p[f"layers.{u}.{kind}"].T for u in range(UNITS)] for kind in ("weight", "bias"))
    heads = [(p[f"aux.{k}.0.weight"].T, p[f"aux.{k}.0.bias"]) for k in range(len(learner.modules) - 1)]
    return w, b, [*heads, (w[-1], b[-1])]


def algorithm_1(learner, images, y, length, alpha, weighting="literal", total=False):
    """What (1) to (6) make of every parameter at η = 1: {name: gradient}, rows again. `total`: the other δ of (4)."""
    w, b, heads = columns(learner)
    zs, xs = climb(w, b, images.reshape(B, -1).T)
    sizes = [len(m.units) for m in learner.modules]
    sizes[-1] -= 1  # the output layer is module K's classifier
    ones, grads = np.ones((1, B)), {}
    delta_next, w_next = None, None
    for k in reversed(range(len(sizes))):
        low, top = sum(sizes[:k]), sum(sizes[: k + 1])
        z, w_k, (w_c, b_c) = zs[low:top], w[low:top], heads[k]
        delta_c = first_error(eq.forward(w_c, b_c, xs[top])[0], y)
        own = eq.local_errors(z, w_k, w_c, delta_c)
        pairs = []
        if k < len(sizes) - 1:
            pairs = eq.linked_errors(
                z, w_k, w_c, delta_c, w_next, delta_next, length=length, alpha=alpha, weighting=weighting
            )
        for n in range(low, top):
            linked = n - (top - len(pairs))
            for kind, v, x in (("weight", w[n], xs[n]), ("bias", b[n][:, None], ones)):
                new = eq.update(v, own[n - low], x, 1.0) if linked < 0 else eq.update_linked(v, *pairs[linked], x, 1.0)
                grads[f"layers.{n}.{kind}"] = (v - new).T
        head = f"layers.{UNITS - 1}" if k == len(sizes) - 1 else f"aux.{k}.0"
        grads[f"{head}.weight"] = (w_c - eq.update(w_c, delta_c, xs[top], 1.0)).T
        grads[f"{head}.bias"] = (b_c[:, None] - eq.update(b_c[:, None], delta_c, ones, 1.0)).T
        w_next, delta_next = (w_k[0], own[0]) if own else (w_c, delta_c)
        if total and pairs and len(pairs) == len(own):
            delta_next = sum(pairs[0])
    return {name: g[0] if name.endswith("bias") else g for name, g in grads.items()}


def differing(theirs, ours):
    """Names whose gradients are not the same to 1e-9."""
    largest = max(abs(g).max() for g in theirs.values())
    assert ours.keys() == theirs.keys()
    return {name for name in theirs if gap(ours[name], theirs[name], largest) > 1e-9}


@pytest.mark.filterwarnings("ignore:BackLink length")
@pytest.mark.parametrize("modules", [1, 2, 3, 4, 6, [1, 4, 1], [3, 1, 2]], ids=str)
@pytest.mark.parametrize("weighting", ["literal", "unfolded"])
def test_the_engine_is_the_equations_unit_by_unit(modules, weighting):
    for length in range(UNITS + 1):
        for alpha in (0.0, 0.25, 0.5, 1.0):
            ours = learner(length, alpha, modules, weighting)
            found = algorithm_1(ours, *batch(), length, alpha, weighting)
            assert not differing(found, ours.gradients(*batch())[1]), (length, alpha)


def test_what_the_total_error_in_equation_4_would_give_instead():
    """It differs where the first unit of the module above is itself linked, and there only: with modules of two, at
    l = 2. The engine takes the module's own error."""
    for length, differ in [(1, set()), (2, {"layers.0", "layers.1"})]:
        ours = learner(length, 0.5, [2, 2, 2])
        engine = ours.gradients(*batch())[1]
        own = algorithm_1(ours, *batch(), length, 0.5)
        total = algorithm_1(ours, *batch(), length, 0.5, total=True)
        assert not differing(own, engine)
        assert {name.rpartition(".")[0] for name in differing(total, engine)} == differ


def test_the_total_error_would_lock_every_module_to_the_last_one():
    """One unit a module, l = 1: change the output layer, and under the total error the first layer learns otherwise.
    That is backpropagation's lock. The module's own error stops after one module."""
    ours = learner(1, 0.5, UNITS)
    before = [algorithm_1(ours, *batch(), 1, 0.5, total=total) for total in (False, True)]
    ours.load({"layers.5.weight": 2 * ours.parameters()["layers.5.weight"]})
    after = [algorithm_1(ours, *batch(), 1, 0.5, total=total) for total in (False, True)]
    own, total = ({name[:8] for name in differing(b, a)} for b, a in zip(before, after, strict=True))
    assert own == {"layers.4", "layers.5"}
    assert total == {f"layers.{n}" for n in range(UNITS)}
