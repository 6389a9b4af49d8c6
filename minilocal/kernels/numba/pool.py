"""max_pool, max_pool_backward (ops/pool.py), an image at a time.

The innermost loops run over the channels, which lie side by side.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.relu import PART
from minilocal.kernels.threads import PARTS, parallel_map, partition
from minilocal.ops.pool import argmax_type, pooled_shape


def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, argmax), new arrays."""
    x, shape = np.ascontiguousarray(x), pooled_shape(x.shape, k, stride)
    y, argmax = aligned.empty(shape, x.dtype), aligned.empty(shape, argmax_type(k))
    parallel_map(lambda i, j: largest(x[i:j], k, stride, y[i:j], argmax[i:j]), _parts(x))
    return y, argmax


def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx, a new array."""
    dx = aligned.empty(shape, dy.dtype)
    if not dy.shape == argmax.shape == pooled_shape(dx.shape, k, stride):
        raise ValueError(f"dy {dy.shape}, argmax {argmax.shape}, dx {shape}: these are not windows {k}×{k}, {stride}.")
    dy, argmax = np.ascontiguousarray(dy), np.ascontiguousarray(argmax)
    parallel_map(lambda i, j: route(dy[i:j], argmax[i:j], k, stride, dx[i:j]), _parts(dx))
    return dx


@compiled
def largest(x: Array, k: int, stride: int, y: Array, argmax: Array) -> None:
    """y = the largest pixel of each window, the first NaN if it has one; argmax = its number k i + j."""
    N, P, Q, C = y.shape
    for n in range(N):
        for p in range(P):
            for q in range(Q):
                most, at = y[n, p, q], argmax[n, p, q]
                most[:], at[:] = x[n, p * stride, q * stride], 0
                for i in range(k):
                    for j in range(k):
                        pixel = x[n, p * stride + i, q * stride + j]
                        for c in range(C):
                            if pixel[c] > most[c]:
                                at[c] = k * i + j
                            if not (most[c] > pixel[c] or np.isnan(most[c])):
                                most[c] = pixel[c]


@compiled
def route(dy: Array, argmax: Array, k: int, stride: int, dx: Array) -> None:
    """dx = Σ dy [argmax = k i + j] over the windows that a pixel is in, there at (i, j), in the order of (i, j)."""
    N, P, Q, C = dy.shape
    for n in range(N):
        for h in range(dx.shape[1]):
            row = dx[n, h]
            row[:] = 0
            for i in range(k):
                p, other_row = divmod(h - i, stride)
                if other_row or p < 0 or p >= P:
                    continue
                for j in range(k):
                    for q in range(Q):
                        error, at, pixel = dy[n, p, q], argmax[n, p, q], row[q * stride + j]
                        for c in range(C):
                            pixel[c] += error[c] * dy.dtype.type(at[c] == k * i + j)


def _parts(x: Array) -> list[tuple[int, int]]:
    """The images of x in parts that are worth a thread."""
    return partition(len(x), max(1, min(PARTS, x.nbytes // PART)))
