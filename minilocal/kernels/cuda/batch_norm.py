"""batch_norm_* (ops/batch_norm.py) in CUDA, with the addition and the ReLU, in the fewest passes over the rows.

A pass takes as long as its memory traffic, so passes are what is saved. Forward: z is read for its statistics, then
read and written once more. Backward: dy, z and a are read for two sums per channel, then once more for dz. Where the
error in front of the ReLU is asked for, the sums write it, and dz is made of it instead of dy and a.

The sums go from the last row to the first, the other kernels from the first to the last: each kernel begins with what
the one before it left in the cache.

Variance: of d = z - z₀, where z₀, the first row, is about one deviation from the mean (see kernels/cpu/batch_norm.py).
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel
from minilocal.kernels.cuda.reduce_rows import ADD_UP_BLOCKS, PACK, RowGrid, packed
from minilocal.ops.batch_norm import Statistics

STATISTICS = Kernel(
    "batch_norm_stats",
    PACK
    + ADD_UP_BLOCKS
    + """
// d = z - z₀:   μ = z₀ + Σd/M      σ² = Σd²/M - (Σd/M)²      r = 1/√(σ² + ε)
extern "C" __global__ void __launch_bounds__(THREADS, 4)
batch_norm_stats(const T* __restrict__ z, T* __restrict__ out, int rows, int C, double eps, double* parts,
                 int* counters) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x), Y = blockDim.y, step = gridDim.x * Y;
    T one[WIDE] = {}, two[WIDE] = {};
    if (c < C) {
        const Pack first = at(z, 0, C, c);
        for (int m = rows - 1 - (int)(blockIdx.x * Y + threadIdx.y); m >= 0; m -= DEEP * step) {
            Pack in[DEEP];
            #pragma unroll
            for (int u = 0; u < DEEP; u++) in[u] = m >= u * step ? at(z, m - u * step, C, c) : first;
            #pragma unroll
            for (int u = 0; u < DEEP; u++)
                for (int i = 0; i < WIDE; i++) {
                    T d = in[u].v[i] - first.v[i];
                    one[i] += d, two[i] += d * d;
                }
        }
    }
    double v[2 * WIDE];
    for (int i = 0; i < WIDE; i++) v[i] = one[i], v[WIDE + i] = two[i];
    if (!add_up_blocks(v, parts, counters, C, c) || threadIdx.y || c >= C) return;
    for (int i = 0; i < WIDE; i++) {
        const double off = v[i] / rows, variance = v[WIDE + i] / rows - off * off;
        const T kept = variance > 0 ? variance : 0;
        out[c + i] = z[c + i] + off;
        out[C + c + i] = kept;
        out[2 * C + c + i] = 1 / sqrt(kept + eps);
    }
}
""",
)

APPLY = Kernel(
    "batch_norm_apply",
    PACK
    + """
// y = γ r (z - μ) + β, then + s with ADD, then max(y, 0) with RELU
extern "C" __global__ void batch_norm_apply(const T* __restrict__ z, const T* mean, const T* r, const T* gamma,
                                      const T* beta, const T* __restrict__ s, T* __restrict__ y, int rows, int C) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x), Y = blockDim.y;
    const int end = (int)min((long long)rows, (blockIdx.x + 1LL) * ROWS * Y);
    if (c >= C) return;
    T mu[WIDE], scale[WIDE], shift[WIDE];
    for (int i = 0; i < WIDE; i++) mu[i] = mean[c + i], scale[i] = gamma[c + i] * r[c + i], shift[i] = beta[c + i];
    for (int m = blockIdx.x * ROWS * Y + threadIdx.y; m < end; m += DEEP * Y) {
        Pack in[DEEP], plus[DEEP];
        #pragma unroll
        for (int u = 0; u < DEEP; u++)
            if (m + u * Y < end) {
                in[u] = at(z, m + u * Y, C, c);
                if (ADD) plus[u] = at(s, m + u * Y, C, c);
            }
        #pragma unroll
        for (int u = 0; u < DEEP; u++) {
            for (int i = 0; i < WIDE; i++) {
                T v = (in[u].v[i] - mu[i]) * scale[i] + shift[i];
                if (ADD) v += plus[u].v[i];
                in[u].v[i] = RELU && v < 0 ? 0 : v;
            }
            if (m + u * Y < end) at(y, m + u * Y, C, c) = in[u];
        }
    }
}
""",
)

GRADIENTS = Kernel(
    "batch_norm_gradients",
    PACK
    + ADD_UP_BLOCKS
    + """
// g = dy, where a > 0 with RELU, written with KEEP
// dγ = r Σ g (z - μ)      dβ = Σ g      and what dz is made of:   γ r   -dβ/M   -r dγ/M
extern "C" __global__ void __launch_bounds__(THREADS, 4)
batch_norm_gradients(const T* __restrict__ dy, const T* __restrict__ z, const T* __restrict__ a, const T* mean,
                     const T* r, const T* gamma, T* __restrict__ g, T* __restrict__ out, int rows, int C,
                     double* parts, int* counters) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x), Y = blockDim.y, step = gridDim.x * Y;
    T one[WIDE] = {}, two[WIDE] = {};
    if (c < C) {
        T mu[WIDE];
        for (int i = 0; i < WIDE; i++) mu[i] = mean[c + i];
        for (int m = rows - 1 - (int)(blockIdx.x * Y + threadIdx.y); m >= 0; m -= DEEP * step) {
            Pack error[DEEP] = {}, in[DEEP] = {}, open[DEEP] = {};
            #pragma unroll
            for (int u = 0; u < DEEP; u++)
                if (m >= u * step) {
                    error[u] = at(dy, m - u * step, C, c), in[u] = at(z, m - u * step, C, c);
                    if (RELU) open[u] = at(a, m - u * step, C, c);
                }
            #pragma unroll
            for (int u = 0; u < DEEP; u++) {
                for (int i = 0; i < WIDE; i++) {
                    if (RELU && !(open[u].v[i] > 0)) error[u].v[i] = 0;
                    one[i] += error[u].v[i], two[i] += error[u].v[i] * (in[u].v[i] - mu[i]);
                }
                if (KEEP && m >= u * step) at(g, m - u * step, C, c) = error[u];
            }
        }
    }
    double v[2 * WIDE];
    for (int i = 0; i < WIDE; i++) v[i] = one[i], v[WIDE + i] = two[i];
    if (!add_up_blocks(v, parts, counters, C, c) || threadIdx.y || c >= C) return;
    for (int i = 0; i < WIDE; i++) {
        const double dgamma = r[c + i] * v[WIDE + i];
        out[c + i] = dgamma;
        out[C + c + i] = v[i];
        out[2 * C + c + i] = gamma[c + i] * r[c + i];
        out[3 * C + c + i] = -v[i] / rows;
        out[4 * C + c + i] = -r[c + i] * dgamma / rows;
    }
}
""",
)

BACKWARD = Kernel(
    "batch_norm_backward",
    PACK
    + """
// dz = γ r (g - dβ/M - (z - μ) r dγ/M),   g = dy, where a > 0 with RELU
extern "C" __global__ void batch_norm_backward(const T* __restrict__ dy, const T* __restrict__ z,
                                               const T* __restrict__ a, const T* mean, const T* by,
                                               T* __restrict__ dz, int rows, int C) {
    const int c = WIDE * (blockIdx.y * blockDim.x + threadIdx.x), Y = blockDim.y;
    const int end = (int)min((long long)rows, (blockIdx.x + 1LL) * ROWS * Y);
    if (c >= C) return;
    T mu[WIDE], scale[WIDE], one[WIDE], n[WIDE];
    for (int i = 0; i < WIDE; i++)
        mu[i] = mean[c + i], scale[i] = by[2 * C + c + i], one[i] = by[3 * C + c + i], n[i] = by[4 * C + c + i];
    for (int m = blockIdx.x * ROWS * Y + threadIdx.y; m < end; m += DEEP * Y) {
        Pack error[DEEP], in[DEEP], open[DEEP];
        #pragma unroll
        for (int u = 0; u < DEEP; u++)
            if (m + u * Y < end) {
                error[u] = at(dy, m + u * Y, C, c), in[u] = at(z, m + u * Y, C, c);
                if (RELU) open[u] = at(a, m + u * Y, C, c);
            }
        #pragma unroll
        for (int u = 0; u < DEEP; u++) {
            for (int i = 0; i < WIDE; i++) {
                T g = RELU && !(open[u].v[i] > 0) ? 0 : error[u].v[i];
                in[u].v[i] = scale[i] * (g + one[i] + (in[u].v[i] - mu[i]) * n[i]);
            }
            if (m + u * Y < end) at(dz, m + u * Y, C, c) = in[u];
        }
    }
}
""",
)


def batch_norm_stats(z: Array, eps: float) -> Statistics:
    """μ, σ² and r of every channel, by one launch."""
    z = packed(z)
    work = RowGrid(z)
    out = namespace(z).empty((3, work.C), z.dtype)
    work.sum(STATISTICS, 2, (z, out, *work.size, float(eps)), DEEP=4)
    return Statistics(out[0], out[1], out[2], work.rows)


def batch_norm_apply(
    z: Array, mean: Array, r: Array, gamma: Array, beta: Array, add: Array | None = None, relu: bool = False
) -> Array:
    """γ r (z - μ) + β, + s, ReLU, by one launch."""
    z, mean, r, gamma, beta = (packed(a, z.dtype) for a in (z, mean, r, gamma, beta))
    add = None if add is None else packed(add, z.dtype)
    work, y = RowGrid(z), namespace(z).empty(z.shape, z.dtype)
    work.write(APPLY, (z, mean, r, gamma, beta, add, y, *work.size), DEEP=4, ADD=int(add is not None), RELU=int(relu))
    return y


def batch_norm_backward(
    dy: Array, z: Array, mean: Array, r: Array, gamma: Array, a: Array | None = None, both: bool = True
) -> tuple[Array, Array, Array, Array | None]:
    """(dz, dγ, dβ, dy), by two launches; the last is the argument dy itself where `a` is None."""
    dy, z, mean, r, gamma = (packed(x, z.dtype) for x in (dy, z, mean, r, gamma))
    a = None if a is None else packed(a, z.dtype)
    xp, work = namespace(z), RowGrid(z)
    out, dz = xp.empty((5, work.C), z.dtype), xp.empty(z.shape, z.dtype)
    g = xp.empty(z.shape, z.dtype) if both and a is not None else None
    sizes = {"DEEP": 2, "RELU": int(a is not None), "KEEP": int(g is not None)}
    work.sum(GRADIENTS, 2, (dy, z, a, mean, r, gamma, g, out, *work.size), **sizes)
    error, a = (dy, a) if g is None else (g, None)
    work.write(BACKWARD, (error, z, a, mean, out, dz, *work.size), DEEP=2, RELU=int(a is not None))
    return dz, out[0], out[1], error if both else None
