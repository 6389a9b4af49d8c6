"""Losses: the value and the error together, since both need the same softmax or difference.

The value is a 0-d float64 array that stays where the logits are; the error has the logits' type.
"""

from __future__ import annotations

from minilocal.array import Array, namespace


def cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """-log softmax(z) at the label, averaged.        z (N, C), labels (N,) int  →  loss (), dz (N, C)

        L = -1/N Σₙ log pₙ[yₙ]        dz = (p - onehot(y)) / N

    Labels are trusted: they are checked once, on the host, when data enters.
    """
    xp = namespace(z, labels)
    N, rows = z.shape[0], xp.arange(z.shape[0])
    z = z - z.max(axis=1, keepdims=True)  # the same loss, and exp cannot overflow
    log_p = z - xp.log(xp.exp(z).sum(axis=1, keepdims=True))
    dz = xp.exp(log_p)
    dz[rows, labels] -= 1
    dz *= 1 / N
    return -log_p[rows, labels].mean(dtype=xp.float64), dz


def squared_error(z: Array, target: Array) -> tuple[Array, Array]:
    """Half the squared distance to the target, averaged over the batch.        z, target (N, C)  →  loss (), dz (N, C)

        L = 1/(2N) Σₙ ‖zₙ - tₙ‖²        dz = (z - t) / N
    """
    xp = namespace(z, target)
    N, d = z.shape[0], z - target
    return (d * d).sum(dtype=xp.float64) * (0.5 / N), d * (1 / N)
