"""Batch norm, with the residual addition and the ReLU that follow it.

n = (z - μ) r      r = 1/√(σ² + ε)      y = γ n + β [+ s]      a = max(y, 0)
dy ← da where a > 0      dγ = Σ dy·n      dβ = Σ dy      dz = γ r (dy - dβ/M - n dγ/M)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op, op_on


class Statistics(NamedTuple):
    """Statistics of one batch: mean μ, biased variance σ² and r = 1/√(σ² + ε), (C,) each, and the number of rows M."""

    mean: Array
    variance: Array
    r: Array
    rows: int


@op
def batch_norm_stats(z: Array, eps: float) -> Statistics:
    """μ, σ² and r of every channel over all rows, in two passes.        z (..., C)  →  (C,) each"""
    xp, z = namespace(z), z.reshape(-1, z.shape[-1])
    mean = z.mean(axis=0, dtype=xp.float64).astype(z.dtype)
    variance = ((z - mean) ** 2).mean(axis=0, dtype=xp.float64).astype(z.dtype)
    return Statistics(mean, variance, 1 / xp.sqrt(variance + eps), z.shape[0])


@op
def batch_norm_apply(
    z: Array, mean: Array, r: Array, gamma: Array, beta: Array, add: Array | None = None, relu: bool = False
) -> Array:
    """γ (z - μ) r + β, + s where `add` is s, then ReLU with `relu`.        z, s (..., C)  →  a new array (..., C)"""
    y = (z - mean) * (gamma * r) + beta
    y = y if add is None else y + add
    return namespace(y).maximum(y, namespace(y).zeros_like(y)) if relu else y


@op
def batch_norm_backward(
    dy: Array, z: Array, mean: Array, r: Array, gamma: Array, a: Array | None = None, both: bool = True
) -> tuple[Array, Array, Array, Array | None]:
    """(dz, dγ, dβ, dy) of batch norm in training, with dy ← dy where a > 0 if a ReLU's output `a` is given.

    dγ = Σ dy·n   dβ = Σ dy   dz = γ r (dy - dβ/M - n dγ/M).

    dy, z, a (..., C), all others (C,)  →  dz, dy (..., C), dγ, dβ (C,)

    The last result is the error in front of the ReLU. Without `both` it is None.
    """
    dy = dy if a is None else dy * (a > 0)
    n, rows, M = (z - mean) * r, tuple(range(z.ndim - 1)), z.size // z.shape[-1]
    dgamma, dbeta = (dy * n).sum(axis=rows), dy.sum(axis=rows)
    return gamma * r * (dy - dbeta / M - n * (dgamma / M)), dgamma, dbeta, dy if both else None


class RunningUpdate(NamedTuple):
    """The running statistics of a batch norm, (C,) each, what `batch_norm_stats` made of a batch, and the momentum."""

    mean: Array
    variance: Array
    batch: Statistics
    momentum: float


@op_on(lambda updates: (updates[0].mean, updates[0].batch.mean) if updates else ())
def batch_norm_update_running(updates: Sequence[RunningUpdate]) -> None:
    """running ← (1 - momentum) running + momentum batch, in place; the variance as the unbiased one, M/(M-1) σ².

    For several batch norms in one call.
    """
    for mean, variance, batch, momentum in updates:
        unbiased = batch.variance * (batch.rows / max(1, batch.rows - 1))
        for running, new in ((mean, batch.mean), (variance, unbiased)):
            running *= 1 - momentum
            running += momentum * new
