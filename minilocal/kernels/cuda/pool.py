"""max_pool, max_pool_backward (ops/pool.py) in CUDA: one thread for each window, backward for each pixel."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.ops.conv import conv_out_size
from minilocal.ops.pool import argmax_type

THREADS = 256

INDEX = """
template <int bytes> struct Whole { using type = unsigned char; };
template <> struct Whole<2> { using type = unsigned short; };
template <> struct Whole<4> { using type = unsigned int; };
using Index = Whole<INDEX_BYTES>::type;
"""

FORWARD = Kernel(
    "max_pool",
    INDEX
    + """
// y[n, p, q, c] = max over i, j < k of x[n, s p + i, s q + j, c], and argmax the first k i + j where it is
extern "C" __global__ void max_pool(const T* __restrict__ x, T* __restrict__ y, Index* __restrict__ argmax,
                                    int H, int W, int P, int Q, int C) {
    const int qc = blockIdx.y * blockDim.x + threadIdx.x, n = blockIdx.x / P, p = blockIdx.x % P;
    if (qc >= Q * C) return;
    const int q = qc / C, c = qc % C;
    const T* window = x + (((long long)n * H + STRIDE * p) * W + STRIDE * q) * C + c;
    T best = window[0];
    int where = 0;
    #pragma unroll
    for (int k = 1; k < SIDE * SIDE; k++) {
        const T pixel = window[((long long)(k / SIDE) * W + k % SIDE) * C];
        if (pixel > best) where = k;
        if (pixel > best || pixel != pixel) best = pixel;
    }
    y[(long long)blockIdx.x * Q * C + qc] = best;
    argmax[(long long)blockIdx.x * Q * C + qc] = where;
}
""",
)

BACKWARD = Kernel(
    "max_pool_backward",
    INDEX
    + """
// dx[n, h, w, c] = Σ dy[n, p, q, c] where argmax[n, p, q, c] = k (h - s p) + (w - s q), in the order of argmax
extern "C" __global__ void max_pool_backward(const T* __restrict__ dy, const Index* __restrict__ argmax,
                                             T* __restrict__ dx, int H, int W, int P, int Q, int C) {
    const int wc = blockIdx.y * blockDim.x + threadIdx.x, n = blockIdx.x / H, h = blockIdx.x % H;
    if (wc >= W * C) return;
    const int w = wc / C, c = wc % C;
    T sum = 0;
    for (int p = min(P - 1, h / STRIDE); p >= 0 && h - STRIDE * p < SIDE; p--)
        for (int q = min(Q - 1, w / STRIDE); q >= 0 && w - STRIDE * q < SIDE; q--) {
            const long long at = (((long long)n * P + p) * Q + q) * C + c;
            if (argmax[at] == SIDE * (h - STRIDE * p) + (w - STRIDE * q)) sum += dy[at];
        }
    dx[(long long)blockIdx.x * W * C + wc] = sum;
}
""",
)


def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, argmax), by one launch."""
    xp, (N, H, W, C) = namespace(x), x.shape
    P, Q = conv_out_size(H, k, stride, 0), conv_out_size(W, k, stride, 0)
    x, y, argmax = xp.ascontiguousarray(x), xp.empty((N, P, Q, C), x.dtype), xp.empty((N, P, Q, C), argmax_type(k))
    grid, block = (N * P, blocks(Q * C, THREADS)), (min(Q * C, THREADS),)
    sizes = {"SIDE": k, "STRIDE": stride, "INDEX_BYTES": argmax.itemsize}
    FORWARD(x, grid, block, (x, y, argmax, H, W, P, Q, C), **sizes)
    return y, argmax


def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx, by one launch: every pixel gathers from the windows that hold it."""
    xp, (N, H, W, C), (_, P, Q, _) = namespace(dy, argmax), shape, dy.shape
    dy, argmax, dx = xp.ascontiguousarray(dy), xp.ascontiguousarray(argmax), xp.empty(shape, dy.dtype)
    grid, block = (N * H, blocks(W * C, THREADS)), (min(W * C, THREADS),)
    sizes = {"SIDE": k, "STRIDE": stride, "INDEX_BYTES": argmax.itemsize}
    BACKWARD(dy, grid, block, (dy, argmax, dx, H, W, P, Q, C), **sizes)
    return dx
