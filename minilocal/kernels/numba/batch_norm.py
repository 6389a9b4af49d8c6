"""batch_norm_stats, batch_norm_apply, batch_norm_backward (ops/batch_norm.py), a loop for each pass over the batch."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.numba.channel_sums import add_sums, combine, shifted_sums, side_by_side
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.relu import PART, mask
from minilocal.kernels.threads import PARTS, ordered_sum, parallel_map, partition
from minilocal.ops.batch_norm import Statistics

BLOCK = 1 << 15  # numbers of an error that are written, and then read while they lie in the cache


def batch_norm_stats(z: Array, eps: float) -> Statistics:
    """μ, σ² and r of every channel, in one pass. A part of the batch has a shift of its own."""
    rows, parts = _rows(z, z), _parts(z, arrays=1)
    totals, shifts = zip(*parallel_map(lambda i, j: shifted_sums(rows, i, j), parts), strict=True)
    return combine(totals, shifts, [j - i for i, j in parts], eps)


def batch_norm_apply(
    z: Array, mean: Array, r: Array, gamma: Array, beta: Array, add: Array | None = None, relu: bool = False
) -> Array:
    """γ r (z - μ) + β, + s, ReLU, in one pass."""
    y, scale = aligned.empty(z.shape, z.dtype), gamma * r
    rows, s, out = _rows(z, z), None if add is None else _rows(add, z), _rows(y, z)

    def write(i: int, j: int) -> None:
        normalise(rows[i:j], mean, scale, beta, _cut(s, i, j), relu, out[i:j])

    parallel_map(write, _parts(z, arrays=2 if s is None else 3))
    return y


def batch_norm_backward(
    dy: Array, z: Array, mean: Array, r: Array, gamma: Array, a: Array | None = None, both: bool = True
) -> tuple[Array, Array, Array, Array | None]:
    """(dz, dγ, dβ, dy) with dz = γ r (e + k (z - μ) - dβ/M), where k = -r dγ/M and e is the error in front of the ReLU.

    The first of two passes writes e, unless it is dy, and the second reads it. Without `both` it lies where dz will.
    """
    dz = aligned.empty(z.shape, z.dtype)
    e = dy if a is None else aligned.empty(z.shape, z.dtype) if both else dz
    on = None if a is None else _rows(a, z)
    above, rows, error, out = _rows(dy, z), _rows(z, z), _rows(e, z), _rows(dz, z)

    def sums(i: int, j: int) -> Array:
        return error_sums(above[i:j], _cut(on, i, j), rows[i:j], mean, error[i:j])

    dbeta, dgamma = ordered_sum(parallel_map(sums, _parts(z, arrays=2 if a is None else 4)))
    dbeta, dgamma, M = dbeta.astype(z.dtype), (dgamma * r).astype(z.dtype), len(rows)
    k, b, scale = -dgamma / M * r, -dbeta / M, gamma * r

    def write(i: int, j: int) -> None:
        input_error(None if e is dz else error[i:j], rows[i:j], mean, k, b, scale, out[i:j])

    parallel_map(write, _parts(z, arrays=3))
    return dz, dgamma, dbeta, e if both else None


@compiled
def normalise(z: Array, mean: Array, scale: Array, beta: Array, s: Array | None, relu: bool, y: Array) -> None:
    """y = (z - μ) scale + β, + s, ReLU.        z, s, y (rows, C), all others (C,)"""
    C, x, out = z.shape[1], z.reshape(-1), y.reshape(-1)
    mean, scale, beta = side_by_side(mean, C), side_by_side(scale, C), side_by_side(beta, C)
    add, W = x if s is None else s.reshape(-1), mean.size
    for at in range(0, x.size, W):
        xs, adds, ys = x[at : at + W], add[at : at + W], out[at : at + W]
        for v in range(xs.size):
            n = (xs[v] - mean[v]) * scale[v] + beta[v]
            if s is not None:
                n += adds[v]
            ys[v] = 0 if relu and n <= 0 else n


@compiled
def error_sums(dy: Array, a: Array | None, z: Array, mean: Array, e: Array) -> Array:
    """(Σ e, Σ e (z - μ)), after e = dy [a > 0] if there is an a.        dy, a, z, e (rows, C) → (2, C) in float64"""
    rows, C = z.shape
    total, step = np.zeros((2, C)), max(1, BLOCK // C)
    for i in range(0, rows, step):
        j = min(i + step, rows)
        if a is not None:
            mask(dy[i:j].reshape(-1), a[i:j].reshape(-1), e[i:j].reshape(-1))
        add_sums(z, i, j, mean, total, e)
    return total


@compiled
def input_error(e: Array | None, z: Array, mean: Array, k: Array, b: Array, scale: Array, dz: Array) -> None:
    """dz = (e + k (z - μ) + b) scale, where dz is e if there is None.        e, z, dz (rows, C), all others (C,)"""
    C, x, out = z.shape[1], z.reshape(-1), dz.reshape(-1)
    mean, k, b, scale = side_by_side(mean, C), side_by_side(k, C), side_by_side(b, C), side_by_side(scale, C)
    error, W = x if e is None else e.reshape(-1), mean.size
    for at in range(0, x.size, W):
        xs, es, ys = x[at : at + W], error[at : at + W], out[at : at + W]
        for v in range(xs.size):
            error_v = ys[v] if e is None else es[v]
            ys[v] = (error_v + k[v] * (xs[v] - mean[v]) + b[v]) * scale[v]


def _rows(z: Array, like: Array) -> Array:
    """z, of like's size, as contiguous rows (pixels of all images, C). Raises: ValueError for another size."""
    return np.ascontiguousarray(z).reshape(like.size // like.shape[-1], like.shape[-1])


def _parts(z: Array, arrays: int) -> list[tuple[int, int]]:
    """The fixed partition of z's rows by images, for a pass that reads and writes as much as `arrays` times z."""
    N, C = z.shape[0], z.shape[-1]
    pixels = z.size // (N * C)
    return [(i * pixels, j * pixels) for i, j in partition(N, max(1, min(PARTS, arrays * z.nbytes // PART)))]


def _cut(rows: Array | None, i: int, j: int) -> Array | None:
    return None if rows is None else rows[i:j]
