"""Softmax cross entropy: the loss and its gradient together."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op


@op
def cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """L = -1/N Σₙ log pₙ[yₙ], p = softmax(z);   dz = (p - onehot(y)) / N.

    z (N, C), labels y (N,) int  →  L () float64, dz (N, C)
    """
    xp = namespace(z, labels)
    N, rows = z.shape[0], xp.arange(z.shape[0])
    z = z - z.max(axis=1, keepdims=True)  # the same loss, and exp cannot overflow
    log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
    dz = xp.exp(log_p)
    dz[rows, labels] -= 1
    dz *= 1 / N
    return 0 - log_p[rows, labels].mean(dtype=xp.float64), dz  # not -mean: a perfect loss is 0, not -0
