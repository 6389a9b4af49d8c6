"""global_average_pool_backward (ops/pool.py) and sum_rows (ops/matmul.py): what a module's classifier needs besides."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.cpu.matmul import sum_rows as in_parts
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.threads import PARTS, parallel_map, partition

FEW = 1 << 15  # numbers that one thread goes through sooner than another one wakes


def global_average_pool_backward(dy: Array, shape: tuple[int, ...]) -> Array:
    """dx = dy / (H W) at every pixel, with the bits of the plain code."""
    N, H, W, C = shape
    error, dx = np.ascontiguousarray(dy).reshape(N, C) * (1 / (H * W)), aligned.empty(shape, dy.dtype)
    pixels = dx.reshape(N, H * W, C)
    parallel_map(lambda i, j: to_pixels(error[i:j], pixels[i:j]), partition(N, 1 if dx.size < FEW else PARTS))
    return dx


def sum_rows(dy: Array) -> Array:
    """Σₙ dy, row after row in float64, or as partial sums where the rows are many."""
    return add_rows(np.ascontiguousarray(dy)) if dy.size < FEW else in_parts(dy)


@compiled
def to_pixels(dy: Array, dx: Array) -> None:
    """dx[n, p] = dy[n].        dy (N, C), dx (N, pixels, C)"""
    N, P, C = dx.shape
    for n in range(N):
        for p in range(P):
            for c in range(C):
                dx[n, p, c] = dy[n, c]


@compiled
def add_rows(dy: Array) -> Array:
    """Σₙ dy[n].        dy (rows, O)  →  (O,)"""
    total = np.zeros(dy.shape[1])
    for n in range(len(dy)):
        for o in range(dy.shape[1]):
            total[o] += dy[n, o]
    return total.astype(dy.dtype)
