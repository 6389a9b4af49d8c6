"""conv2d, conv2d_backward (ops/conv.py) in CUDA by im2col, a tile at a time, and the library's matrix product.

The idea. Written out whole, im2col is k·k times its input and goes through memory twice. A tile of 16 MB stays in the
second-level cache between the kernel that writes it and the product that reads it. It still costs 8 bytes for every 2·O
operations: `conv.py` says when that pays. A window too large for shared memory comes here as well.

col2im gathers: every number of dx adds up the windows that hold it, in the order of their taps.

Pixels, and the numbers of a tile, are counted in `int`.
"""

from __future__ import annotations

from collections.abc import Iterator

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.implicit_gemm import VECTOR
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.ops.conv import conv_out_size

TILE = 16 << 20  # bytes of im2col at a time
THREADS = 256

IM2COL = Kernel(
    "im2col",
    VECTOR
    + """
// cols[m - m0][i][j][c] = x[n, S p + i - pad, S q + j - pad, c],   m = (n P + p) Q + q
extern "C" __global__ void im2col(const T* __restrict__ x, T* __restrict__ cols, int H, int B, int P, int Q, int pad,
                                  int m0, int rows) {
    constexpr int V = (C + 3) / 4;
    const int t = blockIdx.x * THREADS + threadIdx.x, tap = t / V % (K * K), m = m0 + t / V / (K * K), c = t % V * 4;
    if (t / V / (K * K) >= rows) return;
    const int n = m / Q / P, h = m / Q % P * S + tap / K - pad, w = m % Q * S + tap % K - pad;
    const bool inside = h >= 0 && h < H && w >= 0 && w < B;
    const T4 a = four(x + ((long long)(n * H + h) * B + w) * C + c, inside ? C - c : 0, is_wide(x, C));
    put(cols + (t / V) * C + c, a, C - c, is_wide(cols, C));
}
""",
)

COL2IM = Kernel(
    "col2im",
    VECTOR
    + """
// dx[n, h, w, c] = sum over i, j of cols[n, p, q, i, j, c] where S p + i - pad = h and S q + j - pad = w
extern "C" __global__ void col2im(const T* __restrict__ cols, T* __restrict__ dx, int H, int B, int P, int Q, int pad,
                                  int pixels) {
    constexpr int V = (C + 3) / 4;
    const int t = blockIdx.x * THREADS + threadIdx.x, m = t / V, c = t % V * 4;
    if (m >= pixels) return;
    const int n = m / B / H, h = m / B % H + pad, w = m % B + pad;
    const bool wide = is_wide(cols, C);
    T4 sum = {};
    for (int i = h % S; i < K && i <= h; i += S)
        for (int j = w % S; j < K && j <= w; j += S) {
            const int p = (h - i) / S, q = (w - j) / S;
            if (p >= P || q >= Q) continue;
            const T4 a = four(cols + (((n * P + p) * Q + q) * (K * K) + i * K + j) * C + c, C - c, wide);
            for (int e = 0; e < 4; ++e) sum.v[e] += a.v[e];
        }
    put(dx + (long long)m * C + c, sum, C - c, is_wide(dx, C));
}
""",
)


def conv2d(x: Array, W: Array, stride: int, pad: int) -> Array:
    """z = im2col(x) W.        x (N, H, W, C), W (k, k, C, O)  →  z (N, P, Q, O)"""
    (N, H, B, _), (k, _, _, O), xp = x.shape, W.shape, namespace(x)
    z = xp.empty((N, conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad), O), x.dtype)
    rows, flat = z.reshape(-1, O), W.reshape(-1, O)
    for m, cols in _tiles(x, z.shape, k, stride, pad):
        xp.matmul(cols, flat, out=rows[m : m + len(cols)])
    return z


def input_error(dz: Array, W: Array, shape: tuple[int, ...], stride: int, pad: int, add: Array | None = None) -> Array:
    """dx = col2im(dz Wᵀ) [+ add], some images at a time.        dz (N, P, Q, O), W (k, k, C, O)  →  dx (N, H, W, C)"""
    dx = _input_error(dz, W, shape, stride, pad)
    if add is not None:
        dx += add.reshape(shape)
    return dx


def _input_error(dz: Array, W: Array, shape: tuple[int, ...], stride: int, pad: int) -> Array:
    (N, P, Q, O), (k, _, C, _), (_, H, B, _), xp = dz.shape, W.shape, shape, namespace(dz)
    flat = W.reshape(-1, O)
    if (k, stride, pad) == (1, 1, 0):
        return xp.matmul(dz.reshape(-1, O), flat.T).reshape(shape)
    dx = xp.empty(shape, dz.dtype)
    some = max(1, TILE // (P * Q * flat.nbytes // O))
    cols = xp.empty((min(some, N) * P * Q, len(flat)), dz.dtype)
    for n in range(0, N, some):
        errors, to = dz[n : n + some].reshape(-1, O), dx[n : n + some]
        xp.matmul(errors, flat.T, out=cols[: len(errors)])
        pixels = to.size // C
        args = cols, to, H, B, P, Q, pad, pixels
        COL2IM(dz, (blocks(pixels * blocks(C, 4), THREADS),), (THREADS,), args, C=C, K=k, S=stride, THREADS=THREADS)
    return dx


def weight_gradient(dz: Array, x: Array, k: int, stride: int, pad: int) -> Array:
    """dW = im2col(x)ᵀ dz, tile by tile.        dz (N, P, Q, O), x (N, H, W, C)  →  dW (k, k, C, O)"""
    O, C, xp, dW = dz.shape[-1], x.shape[-1], namespace(dz), None
    rows = dz.reshape(-1, O)
    for m, cols in _tiles(x, dz.shape, k, stride, pad):
        part = xp.matmul(cols.T, rows[m : m + len(cols)])
        dW = part if dW is None else dW + part
    return (xp.zeros((k * k * C, O), x.dtype) if dW is None else dW).reshape(k, k, C, O)


def _tiles(x: Array, shape: tuple[int, ...], k: int, stride: int, pad: int) -> Iterator[tuple[int, Array]]:
    """Tiles of im2col(x): the number of the first row, and the rows, in memory that the next tile overwrites."""
    (_, H, B, C), (N, P, Q, _) = x.shape, shape
    inner, total = k * k * C, N * P * Q
    if (k, stride, pad) == (1, 1, 0):
        yield 0, x.reshape(total, C)
        return
    rows = max(1, TILE // (inner * x.itemsize))
    buffer = namespace(x).empty((min(rows, total), inner), x.dtype)
    for m in range(0, total, rows):
        count = min(rows, total - m)
        grid = (blocks(count * k * k * blocks(C, 4), THREADS),)
        args = x, buffer, H, B, P, Q, pad, m, count
        IM2COL(x, grid, (THREADS,), args, C=C, K=k, S=stride, THREADS=THREADS)
        yield m, buffer[:count]
