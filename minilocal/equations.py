"""The BackLink paper, (1) to (6) and Algorithm 1: one small function each, on matrices, in the paper's own letters.

Guo, Fouda, Eltawil and Salama, "Supervised Local Training With Backward Links for Deep Neural Networks",
IEEE Transactions on Artificial Intelligence, 2023. Errors are taken before the activation, δ = ∂L/∂z.

    (1)  yⁿ = f(zⁿ) = f(wⁿ xⁿ + bⁿ)      xⁿ⁺¹ = yⁿ                           forward
    (2)  wⁿ ← wⁿ - η ∇L(wⁿ) = wⁿ - η δⁿ ⊗ xⁿ                                 update
    (3)  δⁿ = ∂L/∂zⁿ = f'(zⁿ) ⊙ (wⁿ⁺¹)ᵀ δⁿ⁺¹                                 backward
    ( )  wⁿ ← wⁿ - η ∇Lᵏ(wⁿ)                                                 GLL, not numbered; n in module k
    (4)  δⁿ = δ_lcⁿ + δ_glⁿ      δ_lcⁿ =    α    f'(zⁿ) ⊙ (w_cⁿ)ᵀ δ_cᵏ       n is the last layer of module k
                                 δ_glⁿ = (1 - α) f'(zⁿ) ⊙ (wⁿ⁺¹)ᵀ δⁿ⁺¹
    (5)  δⁱ = f'(zⁱ) ⊙ (wⁱ⁺¹)ᵀ (α δ_lcⁱ⁺¹ + (1 - α) δ_glⁱ⁺¹)                 the l - 1 linked layers below it
    (6)  wʲ ← wʲ - η (δ_lcʲ + δ_glʲ) ⊗ xʲ                                    the l linked layers

The numbers are those of the IEEE version. The preprint ("BackLink: Supervised Local Training with Backward Links",
2022) counts (1) forward, (2) backward, (3) Δwⁿ = δⁿ ⊗ xⁿ, (4) and (5) for IEEE's (4), (6) and (7) for IEEE's (5); its
update of the linked layers has no number.

Letters: x (I,) is one sample, a column; x (I, B) is a mini-batch, one sample a column, and then every z, y and δ is
(O, B) too. w (O, I), b (O,); in the layer above w (A, O), in a classifier w_c (C, O). δ ⊗ x adds over the columns, so
with the mean loss of a mini-batch the 1/B comes in with the first δ, that of a classifier, and nowhere else. Nothing
is written into; float32 stays float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from minilocal.array import Array, namespace
from minilocal.errors import UserError, unknown

Activation = Callable[[Array], Array]
Layers = list[tuple[Array, Array]]  # (w, b) of each layer


def relu(z: Array) -> Array:
    """f(z) = max(z, 0).        z of any shape"""
    return namespace(z).maximum(z, 0)


def relu_derivative(z: Array) -> Array:
    """f'(z) of the ReLU: 1 where z > 0, else 0.        z of any shape"""
    xp = namespace(z)
    return xp.where(z > 0, xp.ones_like(z), xp.zeros_like(z))


def outer(delta: Array, x: Array) -> Array:
    """δ ⊗ x, added over the columns where there are several.        δ (O,) or (O, B), x (I,) or (I, B)  →  (O, I)"""
    return delta[:, None] * x[None, :] if x.ndim == 1 else delta @ x.T


# Backpropagation


def forward(w: Array, b: Array, x: Array, f: Activation = relu) -> tuple[Array, Array]:
    """(z, y): synaptic input and activation of a layer.        w (O, I), b (O,), x (I, B)  →  (O, B) each"""
    z = w @ x + (b if x.ndim == 1 else b[:, None])  # Eq. (1)
    return z, f(z)


def update(w: Array, delta: Array, x: Array, eta: float) -> Array:
    """The new weights; a bias has x = 1, b - η Σ_B δ.        w (O, I), δ (O, B), x (I, B)  →  (O, I)"""
    return w - eta * outer(delta, x)  # Eq. (2)


def backward(z: Array, w_above: Array, delta_above: Array, df: Activation = relu_derivative) -> Array:
    """δ of a layer from that of the one above.        z (O, B), w_above (A, O), δ_above (A, B)  →  (O, B); df is f'"""
    return df(z) * (w_above.T @ delta_above)  # Eq. (3)


# GLL


def update_local(w: Array, delta_k: Array, x: Array, eta: float) -> Array:
    """The new weights, δ_k by (3) from module k's own classifier.        w (O, I), δ_k (O, B), x (I, B)  →  (O, I)"""
    return update(w, delta_k, x, eta)  # not numbered: w - η ∇Lᵏ(w)


# BackLink


def link(
    z: Array,
    w_c: Array,
    delta_c: Array,
    w_next: Array,
    delta_next: Array,
    alpha: float,
    df: Activation = relu_derivative,
) -> tuple[Array, Array]:
    """(δ_lc, δ_gl) of the last layer of module k, from its own classifier and from the module above.

    z (O, B); the module's classifier w_c (C, O), δ_c (C, B); the first layer of module k + 1, w_next (A, O),
    δ_next (A, B)  →  (O, B) each. Which δ that is where that layer is itself linked, the paper leaves open: see
    `algorithm_1` and docs/papers.md.
    """
    delta_lc = alpha * df(z) * (w_c.T @ delta_c)  # Eq. (4)
    delta_gl = (1 - alpha) * df(z) * (w_next.T @ delta_next)
    return delta_lc, delta_gl


def link_below(
    z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, alpha: float, df: Activation = relu_derivative
) -> tuple[Array, Array]:
    """(δ_lc, δ_gl) of a linked layer from those of the linked layer above it, to the letter.

    (4) has multiplied by α already, so α compounds: j layers below the module's last it is α^(j+1), (1 - α)^(j+1).
    z (O, B), w_above (A, O), δ_lc, δ_gl (A, B)  →  (O, B) each
    """
    delta_lc_i = df(z) * (w_above.T @ (alpha * delta_lc))  # Eq. (5)
    delta_gl_i = df(z) * (w_above.T @ ((1 - alpha) * delta_gl))
    return delta_lc_i, delta_gl_i


def link_below_unfolded(
    z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, df: Activation = relu_derivative
) -> tuple[Array, Array]:
    """(δ_lc, δ_gl) by the paper's multi-GPU text: α and 1 - α once, those of (4). Shapes as in `link_below`."""
    return backward(z, w_above, delta_lc, df), backward(z, w_above, delta_gl, df)


def update_linked(w: Array, delta_lc: Array, delta_gl: Array, x: Array, eta: float) -> Array:
    """The new weights of a linked layer; others have `update_local`.        w (O, I), δ (O, B), x (I, B)  →  (O, I)"""
    return w - eta * outer(delta_lc + delta_gl, x)  # Eq. (6)


# One module, from its last layer down


def local_errors(
    z: Sequence[Array], w: Sequence[Array], w_c: Array, delta_c: Array, df: Activation = relu_derivative
) -> list[Array]:
    """δ of every layer of a module, first to last, by (3) from its own classifier alone: GLL. Shapes as in `link`."""
    errors: list[Array] = []
    for z_i, w_above in zip(reversed(z), [w_c, *reversed(w)], strict=False):
        errors = [backward(z_i, w_above, errors[0] if errors else delta_c, df), *errors]
    return errors


def linked_errors(
    z: Sequence[Array],
    w: Sequence[Array],
    w_c: Array,
    delta_c: Array,
    w_next: Array,
    delta_next: Array,
    *,
    length: int,
    alpha: float,
    weighting: str = "literal",
    df: Activation = relu_derivative,
) -> list[tuple[Array, Array]]:
    """(δ_lc, δ_gl) of the last `length` layers of a module, first to last: (4) once, then (5) in either reading.

    z and w are those of all its layers, first to last. Shapes as in `link`.

    Raises: UserError for a weighting that is neither "literal" nor "unfolded".
    """
    _one_of("weighting", weighting, "literal", "unfolded")
    pairs = [link(z[-1], w_c, delta_c, w_next, delta_next, alpha, df)] if length else []
    for i in reversed(range(max(0, len(z) - length), len(z) - 1)):
        if weighting == "literal":
            pairs = [link_below(z[i], w[i + 1], *pairs[0], alpha, df), *pairs]
        else:
            pairs = [link_below_unfolded(z[i], w[i + 1], *pairs[0], df), *pairs]
    return pairs


# The whole network


def classifier_error(w_c: Array, b_c: Array, y: Array, labels: Array) -> Array:
    """δ_c = (softmax - onehot) / B, of the mean cross entropy.        w_c (C, I), b_c (C,), y (I, B)  →  (C, B)"""
    xp = namespace(y)
    z = w_c @ y + b_c[:, None]
    p = xp.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    return (p - (xp.arange(len(z))[:, None] == labels)) * (1 / y.shape[1])


def algorithm_1(
    layers: Layers,
    classifiers: Layers,
    x: Array,
    labels: Array,
    modules: Sequence[int],
    *,
    length: int,
    alpha: float,
    eta: float,
    weighting: str = "literal",
    error: str = "own",
    below: str = "unscaled",
    last: str = "gll",
    order: str = "together",
    counts: str = "lengths",
    classifier: str = "gradient",
) -> tuple[Layers, Layers]:
    """One mini-batch of Algorithm 1: (layers, classifiers) after it.

    for k = 1 ... K                                                                forward
        for n = 1 ... N_k      yⁿ by (1);  at n = N_k also δ_cᵏ of the classifier
    for k = 1 ... K,   n = N_k ... 1                                               loop 1
        δ_lcⁿ by (4), (5);  for n ≤ N_k - l also wⁿ ← wⁿ - η δ_lcⁿ ⊗ xⁿ
    for k = 1 ... K-1, n = N_k ... N_k - l + 1                                     loop 2
        δ_glⁿ by (4), (5);  wⁿ by (6)

    `layers` are the (w, b) of all modules' ReLU layers, `classifiers` those of K linear classifiers, the last of which
    is the network's own. x (I, B), labels (B,)  →  arrays of the shapes of those. `modules` are N_1 ... N_K. Each
    further keyword is a place where the print can be read in several ways, or cannot be run; the defaults are what the
    engine does (docs/papers.md).

    weighting    "literal": (5) multiplies by α again; "unfolded": α once (A2)
    error        δⁿ⁺¹ of (4) where layer n+1 is itself linked: "own", that of module k+1's own loss; "own-scaled", the
                 δ_lc that loop 1 has left, with its α; "total", δ_lc + δ_gl, for which loop 2 runs from the top (A1)
    below        δ_lc below the range: "unscaled" (the prose: as in GLL) or "scaled" (loop 1: following (4), (5)) (A3)
    last         module K: "gll", all its layers by their own loss; "printed", loop 1 alone: its last l layers are
                 never updated, and `below` holds for the others (A4)
    order        "together": all updates from the weights before them; "printed": in place, as the loops go (A5)
    counts       what N_k is: "lengths" of the modules, or "indices" of their last layers (A6)
    classifier   its own weights, of which the print says nothing: "gradient", "scaled" (times α, k < K), "fixed" (A7)

    Raises: UserError for an unknown word, and for modules that are not all of the layers.
    """
    _one_of("weighting", weighting, "literal", "unfolded")
    _one_of("error", error, "own", "own-scaled", "total")
    _one_of("below", below, "unscaled", "scaled")
    _one_of("last", last, "gll", "printed")
    _one_of("order", order, "together", "printed")
    _one_of("counts", counts, "lengths", "indices")
    _one_of("classifier", classifier, "gradient", "scaled", "fixed")
    tops = [sum(modules[: k + 1]) for k in range(len(modules))] if counts == "lengths" else list(modules)
    spans = [range(low, top) for low, top in pairwise([0, *tops])]
    if len(spans) != len(classifiers) or tops[-1:] != [len(layers)] or not all(spans):
        raise UserError(f"modules {list(modules)} ({counts}) met {len(layers)} layers, {len(classifiers)} classifiers.")
    K, new = len(spans), list(layers)
    now = new if order == "printed" else layers  # the weights that errors go through
    again = (alpha, 1 - alpha) if weighting == "literal" else (1, 1)  # what (5) multiplies by

    z, y = list[Array](), [x]  # y[n] is the input of layer n, counted from 0
    for w, b in layers:
        z_n, y_n = forward(w, b, y[-1])  # Eq. (1)
        z, y = [*z, z_n], [*y, y_n]
    delta_c = [classifier_error(*c, y[span.stop], labels) for c, span in zip(classifiers, spans, strict=True)]

    own, lc, gl = (dict[int, Array]() for _ in range(3))  # δ of the module's own loss alone; δ_lc; δ_gl
    for k, span in enumerate(spans):  # loop 1
        top, floor = span.stop - 1, max(span.start, span.stop - length)
        as_gll = k == K - 1 and last == "gll"
        for n in reversed(span):
            w_above = classifiers[k][0] if n == top else now[n + 1][0]
            own[n] = backward(z[n], w_above, delta_c[k] if n == top else own[n + 1])  # Eq. (3)
            if n == top:
                lc[n] = alpha * own[n]  # Eq. (4)
            else:
                lc[n] = again[0] * backward(z[n], w_above, lc[n + 1])  # Eq. (5)
            if as_gll or (n < floor and below == "unscaled"):
                lc[n] = own[n]
            if as_gll or n < floor:
                new[n] = _moved(new[n], lc[n], y[n], eta)

    for k in reversed(range(K - 1)) if error == "total" else range(K - 1):  # loop 2
        span, top, n_next = spans[k], spans[k].stop - 1, spans[k].stop
        above = {"own": own, "own-scaled": lc, "total": lc}[error][n_next]
        if error == "total" and n_next in gl:
            above = above + gl[n_next]
        for n in reversed(range(max(span.start, span.stop - length), span.stop)):
            w_above = now[n + 1][0]
            if n == top:
                gl[n] = (1 - alpha) * backward(z[n], w_above, above)  # Eq. (4)
            else:
                gl[n] = again[1] * backward(z[n], w_above, gl[n + 1])  # Eq. (5)
            new[n] = _moved(new[n], lc[n] + gl[n], y[n], eta)  # Eq. (6)

    weight = {"gradient": 1.0, "scaled": alpha, "fixed": 0.0}[classifier]
    learned = [
        _moved(c, (1.0 if k == K - 1 and weight else weight) * delta_c[k], y[spans[k].stop], eta)
        for k, c in enumerate(classifiers)
    ]
    return new, learned


def _moved(layer: tuple[Array, Array], delta: Array, x: Array, eta: float) -> tuple[Array, Array]:
    """(w, b) after (2); a bias is a weight whose x is 1."""
    w, b = layer
    return update(w, delta, x, eta), b - eta * delta.sum(axis=1)


def _one_of(kind: str, word: str, *known: str) -> None:
    if word not in known:
        raise unknown(kind, word, known)


__all__ = [
    "Activation", "Layers", "algorithm_1", "backward", "classifier_error", "forward", "link", "link_below",
    "link_below_unfolded", "linked_errors", "local_errors", "outer", "relu", "relu_derivative", "update",
    "update_linked", "update_local",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
