"""relu, relu_backward (ops/relu.py), one loop each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.threads import PARTS, parallel_map, partition

PART = 4 << 20  # bytes that a part reads and writes, at least: one core does as much while another wakes up


def relu(x: Array) -> Array:
    """max(x, 0), a new array."""
    return _by_parts(rectify, x)


def relu_backward(dy: Array, a: Array) -> Array:
    """dy where a > 0, else 0, a new array."""
    return _by_parts(mask, dy, a)


@compiled
def rectify(x: Array, out: Array) -> None:
    """out = max(x, 0), where the maximum with NaN is NaN.        x, out flat"""
    for i in range(out.size):
        out[i] = 0 if x[i] <= 0 else x[i]


@compiled
def mask(dy: Array, a: Array, out: Array) -> None:
    """out = dy [a > 0]: a product, so that NaN stays NaN.        dy, a, out flat"""
    for i in range(out.size):
        out[i] = dy[i] * dy.dtype.type(a[i] > 0)


def _by_parts(work: Callable[..., None], x: Array, *others: Array) -> Array:
    """A new array like x, made by work(parts of all arrays, part of the new one).

    Raises: ValueError where the arrays are not of one shape.
    """
    if any(other.shape != x.shape for other in others):
        raise ValueError(f"arrays of the shapes {', '.join(str(a.shape) for a in (x, *others))}: give one shape.")
    out = aligned.empty(x.shape, x.dtype)
    flat = [np.ascontiguousarray(a).reshape(-1) for a in (x, *others)] + [out.reshape(-1)]
    most = max(1, min(PARTS, len(flat) * x.nbytes // PART))
    parallel_map(lambda i, j: work(*(a[i:j] for a in flat)), partition(x.size, most))
    return out
