"""batch_norm_stats, batch_norm_apply, batch_norm_backward (ops/batch_norm.py) on NumPy, in the fewest safe passes.

Pieces of about 512 KB stay in the cache. They are read as rows of up to 512 numbers, several pixels side by side: a row
of 16 channels is too short for NumPy's inner loop. Column sums are products with a row of ones.

Variance: E[z²] - E[z]² cancels in float32 as soon as the mean is a few hundred deviations. Here the sums are of
d = z - shift, where shift is the mean of a first chunk of the batch, and their totals are in float64:
σ² = Σd²/M - (Σd/M)², where Σd/M is of the order of one deviation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import PARTS, ordered_sum, parallel_map, partition
from minilocal.kernels.workspace import scratch, workspace
from minilocal.ops.batch_norm import Statistics

CHUNK = 512 << 10  # bytes that are worked on at a time
PART = 256 << 10  # bytes of a part of the batch, at least: less is not worth a thread
WIDE = 512  # numbers in a row of a chunk


def batch_norm_stats(z: Array, eps: float) -> Statistics:
    """μ, σ² and r of every channel, in one pass of shifted sums."""
    M, C = z.size // z.shape[-1], z.shape[-1]
    wide, parts = _wide(z)
    shift = _tile(_first_mean(z), wide)

    def part(first: int, last: int) -> Array:
        total = np.zeros((2, wide.shape[1]), np.float64)
        for i, j in _chunks(wide, first, last):
            ones = _ones(j - i, z.dtype.char)
            d = np.subtract(wide[i:j], shift, out=_workspace(wide[i:j]))
            total[0] += ones @ d
            total[1] += ones @ np.multiply(d, d, out=d)
        return total

    sums = _fold(ordered_sum(parallel_map(part, parts)), C)
    off = sums[0] / M
    mean = shift[:C].astype(np.float64) + off
    variance = np.maximum(sums[1] / M - off * off, 0).astype(z.dtype)
    return Statistics(mean.astype(z.dtype), variance, 1 / np.sqrt(variance + eps), M)


def batch_norm_apply(
    z: Array, mean: Array, r: Array, gamma: Array, beta: Array, add: Array | None = None, relu: bool = False
) -> Array:
    """γ r (z - μ) + β, + s, ReLU: one pass, chunk by chunk."""
    wide, parts = _wide(z)
    mean, scale, beta = _tile(mean, wide), _tile(gamma * r, wide), _tile(beta, wide)
    out = np.empty(z.shape, z.dtype)
    y, s = out.reshape(wide.shape), None if add is None else add.reshape(wide.shape)

    def part(first: int, last: int) -> None:
        for i, j in _chunks(wide, first, last):
            chunk = np.subtract(wide[i:j], mean, out=y[i:j])
            chunk *= scale
            chunk += beta
            if s is not None:
                chunk += s[i:j]
            if relu:
                np.maximum(chunk, scratch("zeros", chunk.shape, z.dtype), out=chunk)

    parallel_map(part, parts)
    return out


def batch_norm_backward(
    dy: Array, z: Array, mean: Array, r: Array, gamma: Array, a: Array | None = None, both: bool = True
) -> tuple[Array, Array, Array, Array | None]:
    """(dz, dγ, dβ, dy), with dz = γ r (dy + (z - μ) k - dβ/M), k = -r dγ/M.

    z k - μ k would save a pass, and lose digits where the mean is many deviations. The error in front of the ReLU is
    written once, since both passes read it: into dz's memory, unless `both` asks for it.
    """
    M, C = z.size // z.shape[-1], z.shape[-1]
    wide, parts = _wide(z)
    dz = np.empty(z.shape, z.dtype)
    dy_relu = dy if a is None else np.empty(dy.shape, dy.dtype) if both else dz
    out, g, up = dz.reshape(wide.shape), dy_relu.reshape(wide.shape), dy.reshape(wide.shape)
    on, mean_ = None if a is None else a.reshape(wide.shape), _tile(mean, wide)

    def sums(first: int, last: int) -> Array:
        total = np.zeros((2, wide.shape[1]), np.float64)
        for i, j in _chunks(wide, first, last):
            if on is not None:
                np.copyto(g[i:j], on[i:j] > 0)  # 0 and 1 as floats first: a product with booleans is slower
                np.multiply(up[i:j], g[i:j], out=g[i:j])
            ones = _ones(j - i, z.dtype.char)
            d = np.subtract(wide[i:j], mean_, out=_workspace(wide[i:j]))
            total[0] += ones @ np.multiply(d, g[i:j], out=d)
            total[1] += ones @ g[i:j]
        return total

    S = _fold(ordered_sum(parallel_map(sums, parts)), C)
    dgamma, dbeta = (S[0] * r).astype(z.dtype), S[1].astype(z.dtype)
    by_n, by_one, scale = _tile(-dgamma / M * r, wide), _tile(-dbeta / M, wide), _tile(gamma * r, wide)

    def write(first: int, last: int) -> None:
        for i, j in _chunks(wide, first, last):
            d = np.subtract(wide[i:j], mean_, out=_workspace(wide[i:j]))
            d *= by_n
            d += by_one
            chunk = np.add(d, g[i:j], out=out[i:j])
            chunk *= scale

    parallel_map(write, parts)
    return dz, dgamma, dbeta, dy_relu if both else None


def _wide(z: Array) -> tuple[Array, list[tuple[int, int]]]:
    """(z as rows of several pixels, the fixed partition of those rows by images into parts of PART bytes or more)"""
    N, C = z.shape[0], z.shape[-1]
    pixels = z.size // (N * C)
    side_by_side = max(m for m in range(1, max(1, WIDE // C) + 1) if pixels % m == 0)
    rows = pixels // side_by_side
    parts = partition(N, max(1, min(PARTS, z.nbytes // PART)))
    return z.reshape(N * rows, side_by_side * C), [(i * rows, j * rows) for i, j in parts]


def _chunks(wide: Array, first: int, last: int) -> Iterator[tuple[int, int]]:
    height = max(1, CHUNK // (wide.shape[1] * wide.itemsize))
    for i in range(first, last, height):
        yield i, min(i + height, last)


def _tile(per_channel: Array, wide: Array) -> Array:
    """A number per channel, repeated for every pixel of a wide row."""
    row = np.empty((wide.shape[1] // len(per_channel), len(per_channel)), per_channel.dtype)
    row[:] = per_channel
    return row.reshape(-1)


def _fold(sums: Array, channels: int) -> Array:
    """Sums over wide rows, added up over the pixels of a row.        (2, pixels·C)  →  (2, C)"""
    return sums.reshape(2, -1, channels).sum(axis=1)


def _first_mean(z: Array) -> Array:
    """The mean of a first chunk of z, per channel, in z's type: a shift close to the mean."""
    rows = z.reshape(-1, z.shape[-1])[: max(1, 4096 // z.shape[-1])]
    return _ones(len(rows), z.dtype.char) @ rows * (1 / len(rows))


def _workspace(chunk: Array) -> Array:
    return workspace("norm", chunk.shape, chunk.dtype)


@cache
def _ones(rows: int, dtype: str) -> Array:
    return np.ones(rows, dtype)
