"""Pooling (ops/pool.py) in CUDA. Max pooling: one thread for each window, backward for each pixel.

The mean of whole maps: one block for each image, whose threads share the pixels; each adds every Y-th in index order,
and the block adds their sums in halves, in double.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.kernels.cuda.reduce_rows import ADD_UP, PACK, THREADS, RowGrid, packed
from minilocal.ops.pool import argmax_type, pooled_shape

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

MEAN = Kernel(
    "global_average_pool",
    PACK
    + ADD_UP
    + """
// y[n, c] = mean over the P pixels p of x[n, p, c]
extern "C" __global__ void global_average_pool(const T* __restrict__ x, T* __restrict__ y, int P, int C) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x), n = blockIdx.x;
    const T* map = x + (long long)n * P * C;
    T one[WIDE] = {};
    if (c < C)
        #pragma unroll 4
        for (int p = threadIdx.y; p < P; p += blockDim.y) {
            const Pack in = at(map, p, C, c);
            for (int i = 0; i < WIDE; i++) one[i] += in.v[i];
        }
    double v[WIDE];
    for (int i = 0; i < WIDE; i++) v[i] = one[i];
    add_up(v);
    if (threadIdx.y || c >= C) return;
    for (int i = 0; i < WIDE; i++) y[(long long)n * C + c + i] = v[i] / P;
}
""",
)

MEAN_BACKWARD = Kernel(
    "global_average_pool_backward",
    PACK
    + """
// dx[n, p, c] = dy[n, c] / P
extern "C" __global__ void global_average_pool_backward(const T* __restrict__ dy, T* __restrict__ dx, int rows, int C,
                                                        int P) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x), Y = blockDim.y;
    const int end = (int)min((long long)rows, (blockIdx.x + 1LL) * ROWS * Y);
    const T share = 1.0 / P;
    if (c >= C) return;
    for (int m = blockIdx.x * ROWS * Y + threadIdx.y; m < end; m += Y) {
        Pack out = at(dy, m / P, C, c);
        for (int i = 0; i < WIDE; i++) out.v[i] *= share;
        at(dx, m, C, c) = out;
    }
}
""",
)


def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, argmax), by one launch."""
    xp, (_, H, W, _), (N, P, Q, C) = namespace(x), x.shape, pooled_shape(x.shape, k, stride)
    x, y, argmax = xp.ascontiguousarray(x), xp.empty((N, P, Q, C), x.dtype), xp.empty((N, P, Q, C), argmax_type(k))
    grid, block = (N * P, blocks(Q * C, THREADS)), (min(Q * C, THREADS),)
    sizes = {"SIDE": k, "STRIDE": stride, "INDEX_BYTES": argmax.itemsize}
    FORWARD(x, grid, block, (x, y, argmax, H, W, P, Q, C), **sizes)
    return y, argmax


def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx, by one launch: every pixel gathers from the windows that hold it."""
    xp, (N, H, W, C), (_, P, Q, _) = namespace(dy, argmax), shape, dy.shape
    if not dy.shape == argmax.shape == pooled_shape(shape, k, stride):
        raise ValueError(f"dy {dy.shape}, argmax {argmax.shape}, dx {shape}: these are not windows {k}×{k}, {stride}.")
    dy, argmax, dx = xp.ascontiguousarray(dy), xp.ascontiguousarray(argmax), xp.empty(shape, dy.dtype)
    grid, block = (N * H, blocks(W * C, THREADS)), (min(W * C, THREADS),)
    sizes = {"SIDE": k, "STRIDE": stride, "INDEX_BYTES": argmax.itemsize}
    BACKWARD(dy, grid, block, (dy, argmax, dx, H, W, P, Q, C), **sizes)
    return dx


def global_average_pool(x: Array) -> Array:
    """The mean of every map, by one launch."""
    x, (N, H, W, C) = packed(x), x.shape
    grid, y = RowGrid(x), namespace(x).empty((N, 1, 1, C), x.dtype)
    MEAN(x, (N, grid.tiles), grid.block, (x, y, H * W, C), WIDE=grid.wide, THREADS=THREADS)
    return y


def global_average_pool_backward(dy: Array, shape: tuple[int, ...]) -> Array:
    """dx, by one launch."""
    dy, dx = packed(dy), namespace(dy).empty(shape, dy.dtype)
    RowGrid(dx).write(MEAN_BACKWARD, (dy, dx, *RowGrid(dx).size, shape[1] * shape[2]))
    return dx
