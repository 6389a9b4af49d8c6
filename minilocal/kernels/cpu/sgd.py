"""sgd (ops/sgd.py) on NumPy, in chunks that stay in the cache, shared by threads.

The idea. Operation by operation over whole arrays, an update reads and writes memory a dozen times. Chunk by chunk it
reads w, g and v once and writes w and v once.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import parallel_map, partition
from minilocal.kernels.workspace import workspace
from minilocal.ops.dispatch import plain
from minilocal.ops.sgd import Updates
from minilocal.ops.sgd import sgd as operation

PLAIN = plain(operation)
CHUNK = 1 << 16  # numbers that are worked on at a time


def sgd(updates: Updates, lr: float | Array, momentum: float, weight_decay: float, nesterov: bool) -> None:
    """The update in chunks, with the bits of the plain code, which small arrays and views go through."""
    for w, g, v in updates:
        if w.size < CHUNK or not all(a is None or a.flags.c_contiguous for a in (w, g, v)):
            PLAIN([(w, g, v)], lr, momentum, weight_decay, nesterov)
        else:
            vs = None if v is None else v.reshape(-1)
            _in_chunks(w.reshape(-1), g.reshape(-1), vs, lr, momentum, weight_decay, nesterov)


def _in_chunks(
    ws: Array, gs: Array, vs: Array | None, lr: float | Array, momentum: float, weight_decay: float, nesterov: bool
) -> None:
    def part(first: int, last: int) -> None:
        for i in range(first, last, CHUNK):
            chunk = slice(i, min(i + CHUNK, last))
            w, g, t = ws[chunk], gs[chunk], workspace("sgd", (chunk.stop - i,), ws.dtype)
            if weight_decay:
                g = np.add(np.multiply(w, weight_decay, out=t), g, out=t)
            if vs is not None:
                v = vs[chunk]
                v *= momentum
                v += g
                if nesterov:
                    ahead = workspace("sgd, ahead", v.shape, v.dtype)
                    g = np.add(g, np.multiply(v, momentum, out=ahead), out=ahead)
                else:
                    g = v
            w -= np.multiply(g, lr, out=t)

    parallel_map(part, partition(ws.size))
