"""adam (ops/adam.py) on NumPy, in chunks that stay in the cache, shared by threads, as sgd.py has it."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import parallel_map, partition
from minilocal.kernels.workspace import workspace
from minilocal.ops.adam import Updates
from minilocal.ops.adam import adam as operation
from minilocal.ops.dispatch import plain

PLAIN = plain(operation)
CHUNK = 1 << 15  # numbers that are worked on at a time


def adam(updates: Updates, lr: float | Array, beta1: float, beta2: float, eps: float, weight_decay: float) -> None:
    """The update in chunks, with the bits of the plain code, which small arrays and views go through."""
    for w, g, m, s, t in updates:
        if w.size < CHUNK or not all(a.flags.c_contiguous for a in (w, g, m, s)):
            PLAIN([(w, g, m, s, t)], lr, beta1, beta2, eps, weight_decay)
        else:
            flat = [a.reshape(-1) for a in (w, g, m, s)]
            _in_chunks(*flat, lr / (1 - beta1**t), 1 / (1 - beta2**t), beta1, beta2, eps, weight_decay)


def _in_chunks(
    ws: Array, gs: Array, ms: Array, ss: Array,
    rate: float | Array, unbias: float, beta1: float, beta2: float, eps: float, weight_decay: float,
) -> None:  # fmt: skip
    """The update with η / (1-β₁ᵗ) and 1 / (1-β₂ᵗ) given."""

    def part(first: int, last: int) -> None:
        for i in range(first, last, CHUNK):
            chunk = slice(i, min(i + CHUNK, last))
            w, g, m, s = ws[chunk], gs[chunk], ms[chunk], ss[chunk]
            t, decayed = workspace("adam", w.shape, w.dtype), workspace("adam, decayed", w.shape, w.dtype)
            if weight_decay:
                g = np.add(g, np.multiply(w, weight_decay, out=t), out=decayed)
            m *= beta1
            m += np.multiply(g, 1 - beta1, out=t)
            s *= beta2
            np.multiply(g, g, out=t)
            s += np.multiply(t, 1 - beta2, out=t)
            root = np.sqrt(np.multiply(s, unbias, out=t), out=t)
            root += eps
            w -= np.divide(np.multiply(m, rate, out=decayed), root, out=t)

    parallel_map(part, partition(ws.size))
