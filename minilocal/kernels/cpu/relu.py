"""relu, relu_backward (ops/relu.py) on NumPy, part by part.

A maximum with an array of zeros takes NumPy's fast loop; one with the number 0 does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import parallel_map, partition
from minilocal.kernels.workspace import scratch

CHUNK = 1 << 16  # numbers that are worked on at a time


def relu(x: Array) -> Array:
    """max(x, 0), by chunks of CHUNK numbers."""
    if x.size < CHUNK:
        return np.maximum(x, np.zeros_like(x))
    y = np.empty(x.shape, x.dtype)
    return _chunks(y, lambda out, a: np.maximum(a, scratch("zeros", a.shape, a.dtype), out=out), x)


def relu_backward(dy: Array, a: Array) -> Array:
    """dy where a > 0, else 0, by chunks of CHUNK numbers."""
    if dy.size < CHUNK:
        return dy * (a > 0)
    g = np.empty(dy.shape, dy.dtype)
    return _chunks(g, lambda out, d, on: np.multiply(d, on > 0, out=out), dy, a)


def _chunks(out: Array, work: Callable[..., Any], *arrays: Array) -> Array:
    flat, sources = out.reshape(-1), [a.reshape(-1) for a in arrays]

    def part(first: int, last: int) -> None:
        for i in range(first, last, CHUNK):
            j = min(i + CHUNK, last)
            work(flat[i:j], *(s[i:j] for s in sources))

    parallel_map(part, partition(flat.size))
    return out
