"""The BackLink paper, (1) to (6): one small function each, on one layer's matrices, in the paper's own letters.

Guo, Fouda, Eltawil and Salama, "Supervised Local Training With Backward Links for Deep Neural Networks",
IEEE Transactions on Artificial Intelligence, 2023. Errors are taken before the activation, δ = ∂L/∂z.

    (1)  zⁿ = wⁿ xⁿ + bⁿ      hⁿ = f(zⁿ) = xⁿ⁺¹                              activations climb
    (2)  δⁿ = f'(zⁿ) ⊙ (wⁿ⁺¹)ᵀ δⁿ⁺¹                                          the error comes down
    (3)  wⁿ ← wⁿ - η δⁿ ⊗ xⁿ                                                 the weights learn
    (4)  δⁿ = δ_lcⁿ + δ_glⁿ      δ_lcⁿ =    α    f'(zⁿ) ⊙ (w_cⁿ)ᵀ δ_cᵏ       n is the last layer of module k
                                 δ_glⁿ = (1 - α) f'(zⁿ) ⊙ (wⁿ⁺¹)ᵀ δⁿ⁺¹
    (5)  δⁱ = f'(zⁱ) ⊙ (wⁱ⁺¹)ᵀ (α δ_lcⁱ⁺¹ + (1 - α) δ_glⁱ⁺¹)                 the l - 1 linked layers below it
    (6)  wʲ ← wʲ - η (δ_lcʲ + δ_glʲ) ⊗ xʲ                                    the l linked layers

(4), (5) and (6) are as printed. **(1), (2) and (3) are our reading**: the paper introduces backpropagation before
(4), and we number its three steps in the order in which they happen, without having its text at hand.

Letters: x (I,) is one sample, a column; x (I, B) is a mini-batch, one sample a column, and then every z, h and δ is
(O, B) too. w (O, I), b (O,). δ ⊗ x adds over the columns, so with the mean loss of a mini-batch the 1/B comes in
with the first δ, that of a classifier, and nowhere else. Nothing is written into; float32 stays float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minilocal.array import Array, namespace
from minilocal.errors import unknown

Activation = Callable[[Array], Array]


def relu(z: Array) -> Array:
    """f(z) = max(z, 0)."""
    return namespace(z).maximum(z, 0)


def relu_derivative(z: Array) -> Array:
    """f'(z) of the ReLU: 1 where z > 0, else 0."""
    xp = namespace(z)
    return xp.where(z > 0, xp.ones_like(z), xp.zeros_like(z))


def outer(delta: Array, x: Array) -> Array:
    """δ ⊗ x, added over the columns where there are several.        δ (O,) or (O, B), x (I,) or (I, B)  →  (O, I)"""
    return delta[:, None] * x[None, :] if x.ndim == 1 else delta @ x.T


# Backpropagation


def forward(w: Array, b: Array, x: Array, f: Activation = relu) -> tuple[Array, Array]:
    """(z, h): what a layer weighs, and what it says."""
    z = w @ x + (b if x.ndim == 1 else b[:, None])  # Eq. (1)
    return z, f(z)


def error(z: Array, w_above: Array, delta_above: Array, df: Activation = relu_derivative) -> Array:
    """δ of a layer from the δ of the layer above it, through that layer's weights; `df` is f'."""
    return df(z) * (w_above.T @ delta_above)  # Eq. (2)


def update(w: Array, delta: Array, x: Array, eta: float) -> Array:
    """The new weights. A bias is a weight whose x is 1: b - η δ, added over the columns."""
    return w - eta * outer(delta, x)  # Eq. (3)


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
    """(δ_lc, δ_gl) of the last layer of module k: it hears its own classifier, and the module above.

    w_c, δ_c: the module's classifier; w_next, δ_next: the first layer of module k + 1. Which δ that is, the caller
    decides. minilocal gives the error of module k + 1's *own* loss, also where that layer is itself linked: with its
    total error, the modules would have to wait for each other, all the way down.
    """
    delta_lc = alpha * df(z) * (w_c.T @ delta_c)  # Eq. (4)
    delta_gl = (1 - alpha) * df(z) * (w_next.T @ delta_next)
    return delta_lc, delta_gl


def link_below(
    z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, alpha: float, df: Activation = relu_derivative
) -> tuple[Array, Array]:
    """(δ_lc, δ_gl) of a linked layer from those of the linked layer above it, to the letter.

    (4) has multiplied by α already, so α compounds: j layers below the module's last it is α^(j+1), (1 - α)^(j+1).
    """
    delta_lc_i = df(z) * (w_above.T @ (alpha * delta_lc))  # Eq. (5)
    delta_gl_i = df(z) * (w_above.T @ ((1 - alpha) * delta_gl))
    return delta_lc_i, delta_gl_i


def link_below_unfolded(
    z: Array, w_above: Array, delta_lc: Array, delta_gl: Array, df: Activation = relu_derivative
) -> tuple[Array, Array]:
    """(5) in the reading of the paper's multi-GPU text: α and 1 - α are those of (4), once, at every linked layer."""
    return error(z, w_above, delta_lc, df), error(z, w_above, delta_gl, df)


def update_linked(w: Array, delta_lc: Array, delta_gl: Array, x: Array, eta: float) -> Array:
    """The new weights of a linked layer. Below the range a layer keeps to `update`, with its own loss's unscaled δ."""
    return w - eta * outer(delta_lc + delta_gl, x)  # Eq. (6)


# One module, from its last layer down


def local_errors(
    z: Sequence[Array], w: Sequence[Array], w_c: Array, delta_c: Array, df: Activation = relu_derivative
) -> list[Array]:
    """δ of every layer of a module, first to last, from its own classifier alone: (2) all the way. This is GLL."""
    errors: list[Array] = []
    for z_i, w_above in zip(reversed(z), [w_c, *reversed(w)], strict=False):
        errors = [error(z_i, w_above, errors[0] if errors else delta_c, df), *errors]
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

    Raises: UserError for a weighting that is neither "literal" nor "unfolded".
    """
    if weighting not in ("literal", "unfolded"):
        raise unknown("weighting", weighting, ("literal", "unfolded"))
    pairs = [link(z[-1], w_c, delta_c, w_next, delta_next, alpha, df)] if length else []
    for i in reversed(range(max(0, len(z) - length), len(z) - 1)):
        if weighting == "literal":
            pairs = [link_below(z[i], w[i + 1], *pairs[0], alpha, df), *pairs]
        else:
            pairs = [link_below_unfolded(z[i], w[i + 1], *pairs[0], df), *pairs]
    return pairs
