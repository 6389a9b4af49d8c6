"""conv2d_stats (ops/conv_stats.py) in CUDA: batch norm's sums are made where the convolution writes z.

The idea. z is read once more only to add it up. A block of the implicit GEMM still holds its pixels in registers, so it
adds them up there, about its own first pixel z₀: Σ d and Σ d², d = z - z₀. That is a number of this batch, about one
deviation from its mean, so no digits are lost (see kernels/cpu/batch_norm.py). Moved to the first block's origin, with
δ the difference of both, n pixels have Σ d + n δ and Σ d² + 2 δ Σ d + n δ²: in double, where the blocks are added.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda import implicit_gemm
from minilocal.kernels.cuda.batch_norm import batch_norm_stats
from minilocal.kernels.cuda.conv import by_im2col, conv2d, is_product, packed, rows
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.kernels.cuda.reduce_rows import ADD_UP, PACK
from minilocal.ops.batch_norm import Statistics

STATISTICS = Kernel(
    "conv2d_stats",
    PACK
    + ADD_UP
    + """
// μ = z₀ + Σd/M      σ² = Σd²/M - (Σd/M)²      r = 1/√(σ² + ε)      from sums[part][Σd, Σd², z₀, n][channel]
extern "C" __global__ void conv2d_stats(const double* sums, T* out, int rows, int C, int parts, double eps) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    double v[2] = {};
    if (c < C)
        for (int p = threadIdx.y; p < parts; p += blockDim.y) {
            const double* at = sums + 4LL * p * C + c;
            const double off = at[2 * C] - sums[2 * C + c], moved = at[3 * C] * off;
            v[0] += at[0] + moved, v[1] += at[C] + off * (2 * at[0] + moved);
        }
    add_up(v);
    if (threadIdx.y || c >= C) return;
    const double off = v[0] / rows, variance = v[1] / rows - off * off;
    const T kept = variance > 0 ? variance : 0;
    out[c] = sums[2 * C + c] + off;
    out[C + c] = kept;
    out[2 * C + c] = 1 / sqrt(kept + eps);
}
""",
)


def conv2d_stats(x: Array, W: Array, stride: int = 1, pad: int = 0, eps: float = 1e-5) -> tuple[Array, Statistics]:
    """z and its statistics, by two launches; where z comes from im2col, batch_norm_stats reads it again."""
    x, W = packed(x, W)
    xp, C, alone = namespace(x), W.shape[3], by_im2col(W) or not x.size
    read = rows(x) if is_product(W, stride, pad) else x
    z, sums = (None, None) if alone else implicit_gemm.conv2d_moments(read, W, stride, pad)
    if z is None or sums is None:
        z = conv2d(x, W, stride, pad)
        return z, batch_norm_stats(z, eps)
    out, M = xp.empty((3, C), z.dtype), z.size // C
    STATISTICS(z, (blocks(C, 8),), (8, 64), (sums, out, M, C, len(sums), float(eps)), WIDE=1, THREADS=512)
    return z if read is x else z.reshape(*x.shape[:3], C), Statistics(out[0], out[1], out[2], M)
