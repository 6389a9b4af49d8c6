"""Rows of C channels in CUDA: their partition among threads, and sums over them in a fixed order.

A thread keeps WIDE channels and goes down the rows. What belongs to a channel is in registers, and DEEP independent
loads are under way. The numbers of rows and channels alone decide the partition, and the order in which the blocks'
partial sums, an array of doubles, are added: no bit depends on which block came first.
"""

from __future__ import annotations

from functools import cache
from math import gcd
from typing import Any

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks

THREADS = 256  # of a block, at most: X columns of WIDE channels, side by side, times Y rows
PARTS = 512  # of the rows, at most: four blocks for each of a large GPU's processors
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

// sums[part][0..1][c] = this block's partial sums.
__device__ void write_partial(const T (&p)[WIDE], const T (&q)[WIDE], double* sums, int C, int c) {
    double v[2 * WIDE];
    for (int i = 0; i < WIDE; i++) v[i] = p[i], v[WIDE + i] = q[i];
    add_up(v);
    if (threadIdx.y == 0 && c < C)
        for (int i = 0; i < 2 * WIDE; i++) sums[(2LL * blockIdx.x + i / WIDE) * C + c + i % WIDE] = v[i];
}

// v = the sum of all partial sums: every 64th in index order, then in halves. The first row of threads holds it.
__device__ void reduce_partials(double (&v)[2], const double* sums, int parts, int C, int c) {
    v[0] = v[1] = 0;
    if (c < C)
        for (int p = threadIdx.y; p < parts; p += blockDim.y)
            v[0] += sums[2LL * p * C + c], v[1] += sums[(2LL * p + 1) * C + c];
    add_up(v);
}
"""


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

    def sum(self, kernel: Kernel, args: tuple[Any, ...], **constants: int) -> None:
        """Launch a kernel that writes partial sums: `parts` blocks of rows for each tile of channels."""
        kernel(self.like, (self.parts, self.tiles), self.block, args, WIDE=self.wide, THREADS=THREADS, **constants)

    def total(self, kernel: Kernel, args: tuple[Any, ...]) -> None:
        """Add up the partial sums, with 8 channels and 64 parts side by side."""
        kernel(self.like, (blocks(self.C, 8),), (8, 64), args, WIDE=1, THREADS=512)

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
