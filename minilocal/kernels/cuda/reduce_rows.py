"""Rows of C channels in CUDA: their partition among threads, and sums over them in a fixed order.

A thread keeps WIDE channels and goes down the rows. What belongs to a channel is in registers, and DEEP independent
loads are under way. The numbers of rows and channels alone decide the partition, and the order in which the blocks'
partial sums, an array of doubles, are added: no bit depends on which block came first. The last block adds them up.
"""

from __future__ import annotations

from functools import cache
from math import gcd
from typing import Any

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.last_block import IS_LAST, counters
from minilocal.kernels.cuda.launch import Kernel, blocks

THREADS = 256  # of a block, at most: X columns of WIDE channels, side by side, times Y rows
PARTS = 512  # of the rows, at most: four blocks for each of a large GPU's processors
GROUPS = 32  # of the parts
ROWS = 8  # that a thread writes

PACK = """
// WIDE channels of one row: one load, of 16 bytes at most.
struct alignas(WIDE * sizeof(T)) Pack { T v[WIDE]; };
__device__ const Pack& at(const T* z, int m, int C, int c) { return *(const Pack*)(z + (long long)m * C + c); }
__device__ Pack& at(T* z, int m, int C, int c) { return *(Pack*)(z + (long long)m * C + c); }
"""

ADD_UP = """
// Σ over a block's rows of threads, in halves: afterwards the first row holds it.
template <int K> __device__ void add_up(double (&v)[K]) {
    __shared__ double all[K][THREADS];
    int t = threadIdx.y * blockDim.x + threadIdx.x, half = 1;
    for (int k = 0; k < K; k++) all[k][t] = v[k];
    while (2 * half < blockDim.y) half *= 2;
    for (; half; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half && threadIdx.y + half < blockDim.y)
            for (int k = 0; k < K; k++) all[k][t] += all[k][t + half * blockDim.x];
    }
    for (int k = 0; k < K; k++) v[k] = all[k][t];
}
"""

ADD_UP_BLOCKS = (
    ADD_UP
    + IS_LAST
    + """
// Of parts[part][K / WIDE][C], the k-th number of the thread whose channels begin at c.
template <int K> __device__ double& number(double* parts, int part, int k, int C, int c) {
    return parts[(part * (K / WIDE) + k / WIDE) * (long long)C + c + k % WIDE];
}

template <int K> __device__ void leave(const double (&v)[K], double* parts, int part, int C, int c) {
    if (threadIdx.y == 0 && c < C)
        for (int k = 0; k < K; k++) number<K>(parts, part, k, C, c) = v[k];
}

// v = Σ of `count` parts, every step-th from the first on: a thread adds every Y-th of them in index order.
template <int K>
__device__ void gather(double (&v)[K], double* parts, int first, int step, int count, int C, int c) {
    for (int k = 0; k < K; k++) v[k] = 0;
    if (c < C)
        for (int m = threadIdx.y; m < count; m += blockDim.y)
            for (int k = 0; k < K; k++) v[k] += number<K>(parts, first + step * m, k, C, c);
    add_up(v);
}

// v = Σ over all blocks of a tile of channels. True in the last of them, whose first row of threads holds it.
// On two levels, so that no block has much to read: the parts p, p + GROUPS, ... first, in the place of the first of
// them, then these GROUPS sums.
template <int K> __device__ bool add_up_blocks(double (&v)[K], double* parts, int* counters, int C, int c) {
    const int blocks = gridDim.x, group = blockIdx.x % GROUPS, members = (blocks - group + GROUPS - 1) / GROUPS;
    counters += blockIdx.y * (GROUPS + 1);
    add_up(v);
    leave(v, parts, blockIdx.x, C, c);
    if (members > 1) {
        if (!is_last(counters + group, members)) return false;
        gather(v, parts, group, GROUPS, members, C, c);
        leave(v, parts, group, C, c);
    }
    if (!is_last(counters + GROUPS, min(GROUPS, blocks))) return false;
    gather(v, parts, 0, 1, min(GROUPS, blocks), C, c);
    return true;
}
"""
)


def packed(a: Array, dtype: Any = None) -> Array:
    """`a` of that type, C-contiguous, at an address for whole loads; the array itself where it is so already."""
    a = namespace(a).ascontiguousarray(a, dtype)
    return a.copy() if a.data.ptr % 16 and a.data.ptr % _load(a.shape[-1], a.itemsize) else a


def _load(C: int, itemsize: int) -> int:
    """Bytes of one load: the largest power of 2, 16 at most, that divides a row."""
    return gcd(16, C * itemsize)


class RowGrid:
    """The grid of blocks for the rows of an array, a function of the numbers of rows and channels."""

    def __init__(self, z: Array) -> None:
        self.like, self.C = z, z.shape[-1]
        self.rows = z.size // self.C
        self.wide, self.tiles, self.block, self.parts = _partition(self.rows, self.C, z.itemsize)

    @property
    def size(self) -> tuple[int, int]:
        return self.rows, self.C

    def sum(self, kernel: Kernel, sums: int, args: tuple[Any, ...], **constants: int) -> None:
        """Launch a kernel that makes `sums` sums of each channel: `parts` blocks of rows for each tile of channels.

        Its last arguments are memory for the blocks' partial sums, and counters.
        """
        parts = namespace(self.like).empty((self.parts, sums, self.C), "float64")
        args = (*args, parts, counters(self.like, self.tiles * (GROUPS + 1)))
        constants |= {"WIDE": self.wide, "THREADS": THREADS, "GROUPS": GROUPS}
        kernel(self.like, (self.parts, self.tiles), self.block, args, **constants)

    def write(self, kernel: Kernel, args: tuple[Any, ...], **constants: int) -> None:
        """Launch a kernel that writes every row: ROWS rows for each thread."""
        grid = blocks(self.rows, ROWS * self.block[1]), self.tiles
        kernel(self.like, grid, self.block, args, WIDE=self.wide, ROWS=ROWS, **constants)


@cache
def _partition(rows: int, C: int, itemsize: int) -> tuple[int, int, tuple[int, int], int]:
    """(channels of a thread; tiles of channels; threads of a block, across and down; parts of the rows)"""
    wide = _load(C, itemsize) // itemsize
    columns = C // wide
    tiles = blocks(columns, THREADS)
    X = blocks(columns, tiles)
    Y = THREADS // X
    return wide, tiles, (X, Y), min(PARTS, blocks(rows, 4 * Y))
