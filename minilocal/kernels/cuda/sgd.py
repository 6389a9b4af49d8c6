"""sgd (ops/sgd.py) in CUDA: all parameters of a step in one launch, whatever their number and sizes.

The kernel reads their addresses from a table among its own arguments. The table travels with the launch: nothing is
copied to the device, so a step may be recorded. Arguments have 4 KB, enough for 120 parameters in a launch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal.array import Array
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.ops.dispatch import plain
from minilocal.ops.sgd import Updates
from minilocal.ops.sgd import sgd as operation

PLAIN = plain(operation)
MOST = 120  # parameters in a launch
THREADS, EACH = 256, 4  # of a block, and numbers of a thread
TABLE = np.dtype(
    [("w", "u8", MOST), ("g", "u8", MOST), ("v", "u8", MOST), ("size", "i4", MOST), ("first", "i4", MOST)]
)  # addresses; how many numbers; the first block that works on them

SGD = Kernel(
    "sgd",
    """
struct Table { T *w[MOST], *g[MOST], *v[MOST]; int size[MOST], first[MOST]; };

// g ← g + λ w;   v ← μ v + g;   w ← w - η v, or w - η (g + μ v) with Nesterov;   without v:  w ← w - η g
extern "C" __global__ void sgd(const Table table, int count, const T* rate, double lr, double momentum, double decay,
                               int nesterov) {
    int mine = 0, end = count;   // the last parameter whose first block is this one or before it
    while (end - mine > 1) {
        const int middle = (mine + end) / 2;
        if (table.first[middle] <= (int)blockIdx.x) mine = middle; else end = middle;
    }
    const T eta = rate ? *rate : (T)lr, mu = momentum, lambda = decay;
    T *w = table.w[mine], *g = table.g[mine], *v = table.v[mine];
    const int first = (blockIdx.x - table.first[mine]) * (THREADS * EACH) + threadIdx.x;
    T step[EACH], at[EACH], speed[EACH];
    #pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = first + e * THREADS;
        if (i >= table.size[mine]) break;
        step[e] = g[i], at[e] = w[i];
        if (v) speed[e] = v[i];
    }
    #pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = first + e * THREADS;
        if (i >= table.size[mine]) break;
        if (lambda != 0) step[e] += lambda * at[e];
        if (v) {
            v[i] = speed[e] = mu * speed[e] + step[e];
            step[e] = nesterov ? step[e] + mu * speed[e] : speed[e];
        }
        w[i] = at[e] - eta * step[e];
    }
}
""",
)


def sgd(updates: Updates, lr: float | Array, momentum: float, weight_decay: float, nesterov: bool) -> None:
    """The update, 120 parameters in a launch. Views, and types other than the first one's, take the plain code."""
    like = updates[0][0]
    flat = [all(a is None or (a.flags.c_contiguous and a.dtype == like.dtype) for a in update) for update in updates]
    others = [update for update, fits in zip(updates, flat, strict=True) if not fits]
    PLAIN(others, lr, momentum, weight_decay, nesterov)
    updates = [update for update, fits in zip(updates, flat, strict=True) if fits and update[0].size]
    rate, number = (lr, 0.0) if isinstance(lr, type(like)) else (None, float(lr))
    for i in range(0, len(updates), MOST):
        table, work = _table(updates[i : i + MOST])
        args = (table, min(MOST, len(updates) - i), rate, number, float(momentum), float(weight_decay), int(nesterov))
        SGD(like, (work,), (THREADS,), args, MOST=MOST, THREADS=THREADS, EACH=EACH)


def _table(updates: Updates) -> tuple[np.ndarray[Any, Any], int]:
    """(the parameters' addresses and sizes, as a structure passed by value; the number of blocks)"""
    table, rows, work = np.zeros(1, TABLE), [], 0
    for w, g, v in updates:
        rows.append((w.data.ptr, g.data.ptr, 0 if v is None else v.data.ptr, w.size, work))
        work += blocks(w.size, THREADS * EACH)
    for name, column in zip(TABLE.names or (), zip(*rows, strict=True), strict=True):
        table[name][0, : len(rows)] = column
    return table, work
