"""matmul_axis1 (ops/matmul.py) in CUDA, for resizing and block means.

A thread makes one number of y. All threads of a row share its row of A. Most of that is 0 where a map is resized, and
numbers of x that would be multiplied by 0 are not read.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks

THREADS = 128

MATMUL_AXIS1 = Kernel(
    "matmul_axis1",
    """
// y[n, p, b] = sum over h of A[p, h] x[n, h, b]
extern "C" __global__ void matmul_axis1(const T* A, const T* x, T* y, int P, int H, int B) {
    const int across = (B + THREADS - 1) / THREADS;
    const int n = blockIdx.x / across, p = blockIdx.y, b = blockIdx.x % across * THREADS + threadIdx.x;
    if (b >= B) return;
    T sum = 0;
    for (int h = 0; h < H; ++h) {
        const T a = A[p * H + h];
        if (a != 0) sum += a * x[((long long)n * H + h) * B + b];
    }
    y[((long long)n * P + p) * B + b] = sum;
}
""",
)


def matmul_axis1(A: Array, x: Array) -> Array:
    """A x along axis 1, without the zeros of A."""
    xp, (P, H), (N, _, B) = namespace(A, x), A.shape, x.shape
    A, x, y = xp.ascontiguousarray(A), xp.ascontiguousarray(x), xp.empty((N, P, B), x.dtype)
    MATMUL_AXIS1(x, (N * blocks(B, THREADS), P), (THREADS,), (A, x, y, P, H, B), THREADS=THREADS)
    return y
