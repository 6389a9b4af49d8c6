"""batch_norm_update_running (ops/batch_norm.py) in CUDA: several batch norms in one launch (table.py)."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.kernels.cuda.launch import Kernel
from minilocal.kernels.cuda.reduce_rows import packed
from minilocal.kernels.cuda.table import Table, fits
from minilocal.ops.batch_norm import RunningUpdate
from minilocal.ops.batch_norm import batch_norm_update_running as operation
from minilocal.ops.dispatch import plain

PLAIN = plain(operation)
TABLE = Table(("running", "batch"), ("momentum", "factor"))

UPDATE_RUNNING = Kernel(
    "batch_norm_update_running",
    TABLE.source
    + """
// running ← (1 - momentum) running + momentum batch, where batch is μ, or σ² with the factor M/(M-1)
extern "C" __global__ void batch_norm_update_running(const Table table, int count) {
    const int mine = find_row(table, count);
    T *running = table.running[mine], *batch = table.batch[mine];
    const T keep = 1 - table.momentum[mine], take = table.momentum[mine], factor = table.factor[mine];
    const int first = (blockIdx.x - table.first[mine]) * (THREADS * EACH) + threadIdx.x;
    #pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = first + e * THREADS;
        if (i < table.size[mine]) running[i] = running[i] * keep + batch[i] * factor * take;
    }
}
""",
)


def batch_norm_update_running(updates: Sequence[RunningUpdate]) -> None:
    """All updates, in place, 48 batch norms in a launch. Views, and types unlike the first one's, run plainly."""
    like = updates[0].mean
    PLAIN([update for update in updates if not fits(update[:2], like)])
    rows = []
    for running_mean, running_var, batch, momentum in (update for update in updates if fits(update[:2], like)):
        mean, variance = (packed(a, like.dtype) for a in batch[:2])
        unbiased, share = batch.rows / max(1, batch.rows - 1), float(momentum)
        rows += [(running_mean, mean, share, 1.0), (running_var, variance, share, unbiased)]
    TABLE.launch(UPDATE_RUNNING, rows)
