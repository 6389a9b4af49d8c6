"""mix (ops/mix.py) in CUDA: the gradients of a unit in one launch, whatever their number and sizes (table.py)."""

from __future__ import annotations

from minilocal.kernels.cuda.launch import Kernel
from minilocal.kernels.cuda.table import Table, fits
from minilocal.ops.dispatch import plain
from minilocal.ops.mix import Pairs
from minilocal.ops.mix import mix as operation

PLAIN = plain(operation)
TABLE = Table(("local", "above"))

MIX = Kernel(
    "mix",
    TABLE.source
    + """
// local ← a local + b above
extern "C" __global__ void mix(const Table table, int count, double a, double b) {
    const int mine = find_row(table, count);
    T *local = table.local[mine], *above = table.above[mine];
    const int first = (blockIdx.x - table.first[mine]) * (THREADS * EACH) + threadIdx.x;
    #pragma unroll
    for (int e = 0; e < EACH; e++) {
        const int i = first + e * THREADS;
        if (i < table.size[mine]) local[i] = (T)a * local[i] + (T)b * above[i];
    }
}
""",
)


def mix(pairs: Pairs, a: float, b: float) -> None:
    """The sums, 160 parameters in a launch. Views, and types other than the first one's, take the plain code."""
    like = pairs[0][0]
    PLAIN([pair for pair in pairs if not fits(pair, like)], a, b)
    TABLE.launch(MIX, [pair for pair in pairs if fits(pair, like)], float(a), float(b))
