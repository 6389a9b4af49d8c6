"""adam (ops/adam.py), one loop over the numbers of each parameter."""

from __future__ import annotations

from math import sqrt

from numpy import ndarray as Array

from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.parameters import each_piece
from minilocal.ops.adam import Updates
from minilocal.ops.adam import adam as operation
from minilocal.ops.dispatch import plain

PLAIN = plain(operation)


def adam(updates: Updates, lr: float | Array, beta1: float, beta2: float, eps: float, weight_decay: float) -> None:
    """The update, with the bits of the plain code, which views go through."""

    def piece(w: Array, g: Array, m: Array, s: Array, t: int) -> None:
        rate = lr / (1 - beta1**t)
        move(w, g, m, s, float(rate[0] if isinstance(rate, Array) else rate), 1 / (1 - beta2**t), beta1, beta2, eps, weight_decay)

    PLAIN(each_piece(piece, updates), lr, beta1, beta2, eps, weight_decay)


@compiled
def move(
    w: Array, g: Array, m: Array, s: Array,
    rate: float, unbias: float, beta1: float, beta2: float, eps: float, weight_decay: float,
) -> None:  # fmt: skip
    """g ← g + λ w;  m ← β₁ m + (1-β₁) g;  s ← β₂ s + (1-β₂) g²;  w ← w - rate m / (√(unbias s) + ε).      all flat"""
    number = w.dtype.type  # of float32 where w is
    eta, c, decay, epsilon = number(rate), number(unbias), number(weight_decay), number(eps)
    b1, b2, a1, a2 = number(beta1), number(beta2), number(1 - beta1), number(1 - beta2)
    for i in range(w.size):
        d = g[i]
        if weight_decay:
            d += decay * w[i]
        m[i] = b1 * m[i] + a1 * d
        s[i] = b2 * s[i] + a2 * (d * d)
        w[i] -= eta * m[i] / (sqrt(s[i] * c) + epsilon)
