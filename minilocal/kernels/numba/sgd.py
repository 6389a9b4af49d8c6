"""sgd (ops/sgd.py), one loop over the numbers of each parameter."""

from __future__ import annotations

from numpy import ndarray as Array

from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.parameters import each_piece
from minilocal.ops.dispatch import plain
from minilocal.ops.sgd import Updates
from minilocal.ops.sgd import sgd as operation

PLAIN = plain(operation)


def sgd(updates: Updates, lr: float | Array, momentum: float, weight_decay: float, nesterov: bool) -> None:
    """The update, with the bits of the plain code, which views go through."""
    rate, numbers = float(lr[0] if isinstance(lr, Array) else lr), (momentum, weight_decay, nesterov)
    others = each_piece(lambda w, g, v: move(w, g, v, rate, *numbers), updates)
    PLAIN(others, lr, *numbers)


@compiled
def move(
    w: Array, g: Array, v: Array | None, lr: float, momentum: float, weight_decay: float, nesterov: bool
) -> None:
    """g ← g + λ w;  v ← μ v + g;  w ← w - η v, or w - η (g + μ v).        w, g, v flat"""
    number = w.dtype.type  # of float32 where w is
    eta, mu, decay = number(lr), number(momentum), number(weight_decay)
    for i in range(w.size):
        step = g[i]
        if weight_decay:
            step += decay * w[i]
        if v is not None:
            v[i] = mu * v[i] + step
            step = step + mu * v[i] if nesterov else v[i]
        w[i] -= eta * step
