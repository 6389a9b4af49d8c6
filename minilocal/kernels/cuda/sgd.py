"""sgd (ops/sgd.py) in CUDA: all parameters of a step in one launch, whatever their number and sizes (table.py)."""

from __future__ import annotations

from minilocal.array import Array
from minilocal.kernels.cuda.launch import Kernel
from minilocal.kernels.cuda.table import Table, fits
from minilocal.ops.dispatch import plain
from minilocal.ops.sgd import Updates
from minilocal.ops.sgd import sgd as operation

PLAIN = plain(operation)
TABLE = Table(("w", "g", "v"))

SGD = Kernel(
    "sgd",
    TABLE.source
    + """
// g ← g + λ w;   v ← μ v + g;   w ← w - η v, or w - η (g + μ v) with Nesterov;   without v:  w ← w - η g
extern "C" __global__ void sgd(const Table table, int count, const T* rate, double lr, double momentum, double decay,
                               int nesterov) {
    const int mine = find_row(table, count);
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
    PLAIN([update for update in updates if not fits(update, like)], lr, momentum, weight_decay, nesterov)
    rate, number = (lr, 0.0) if isinstance(lr, type(like)) else (None, float(lr))
    flat = [update for update in updates if fits(update, like)]
    TABLE.launch(SGD, flat, rate, number, float(momentum), float(weight_decay), int(nesterov))
