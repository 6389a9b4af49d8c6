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
from minilocal.kernels.cuda.launch import Kernel, blocks
from minilocal.kernels.cuda.reduce_rows import ADD_UP, PACK, THREADS, RowGrid, packed
from minilocal.ops.batch_norm import Statistics
from minilocal.ops.batch_norm import batch_norm_update_running as operation
from minilocal.ops.dispatch import plain

PLAIN = plain(operation)

SUMS = Kernel(
    "batch_norm_sums",
    PACK
    + ADD_UP
    + """
// d = z - z₀:   Σ d   Σ d²   over each part of the rows
extern "C" __global__ void __launch_bounds__(THREADS, 4)
batch_norm_sums(const T* __restrict__ z, double* __restrict__ sums, int rows, int C) {
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
    write_partial(one, two, sums, C, c);
}
""",
)

STATISTICS = Kernel(
    "batch_norm_stats",
    PACK
    + ADD_UP
    + """
// μ = z₀ + Σd/M      σ² = Σd²/M - (Σd/M)²      r = 1/√(σ² + ε)
extern "C" __global__ void batch_norm_stats(const T* z, const double* sums, T* out, int rows, int C, int parts,
                                           double eps) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    double v[2];
    reduce_partials(v, sums, parts, C, c);
    if (threadIdx.y || c >= C) return;
    const double off = v[0] / rows, variance = v[1] / rows - off * off;
    const T kept = variance > 0 ? variance : 0;
    out[c] = z[c] + off;
    out[C + c] = kept;
    out[2 * C + c] = 1 / sqrt(kept + eps);
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

BACKWARD_SUMS = Kernel(
    "batch_norm_backward_sums",
    PACK
    + ADD_UP
    + """
// g = dy, where a > 0 with RELU, written with KEEP:   Σ g   Σ g (z - μ)   over each part of the rows
extern "C" __global__ void __launch_bounds__(THREADS, 4)
batch_norm_backward_sums(const T* __restrict__ dy, const T* __restrict__ z, const T* __restrict__ a, const T* mean,
                   T* __restrict__ g, double* __restrict__ sums, int rows, int C) {
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
    write_partial(one, two, sums, C, c);
}
""",
)

GRADIENTS = Kernel(
    "batch_norm_gradients",
    PACK
    + ADD_UP
    + """
// dγ = r Σ g (z - μ)      dβ = Σ g      and what dz is made of:   γ r   -dβ/M   -r dγ/M
extern "C" __global__ void batch_norm_gradients(const double* sums, const T* r, const T* gamma, T* out, int rows, int C,
                                          int parts) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    double v[2];
    reduce_partials(v, sums, parts, C, c);
    if (threadIdx.y || c >= C) return;
    const double dgamma = r[c] * v[1];
    out[c] = dgamma;
    out[C + c] = v[0];
    out[2 * C + c] = gamma[c] * r[c];
    out[3 * C + c] = -v[0] / rows;
    out[4 * C + c] = -r[c] * dgamma / rows;
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

UPDATE_RUNNING = Kernel(
    "batch_norm_update_running",
    """
// running ← (1 - momentum) running + momentum batch, with M/(M-1) σ² for the variance
extern "C" __global__ void batch_norm_update_running(T* mean, T* variance, const T* new_mean,
                                                     const T* new_variance, int C, double momentum,
                                                     double unbiased) {
    const int c = blockIdx.x * blockDim.x + threadIdx.x;
    const T keep = 1 - momentum, take = momentum;
    if (c >= C) return;
    mean[c] = mean[c] * keep + new_mean[c] * take;
    variance[c] = variance[c] * keep + new_variance[c] * (T)unbiased * take;
}
""",
)


def batch_norm_stats(z: Array, eps: float) -> Statistics:
    """μ, σ² and r of every channel, by two launches."""
    xp, z = namespace(z), packed(z)
    work = RowGrid(z)
    sums, out = xp.empty((work.parts, 2, work.C), xp.float64), xp.empty((3, work.C), z.dtype)
    work.sum(SUMS, (z, sums, *work.size), DEEP=4)
    work.total(STATISTICS, (z, sums, out, *work.size, work.parts, float(eps)))
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
    """(dz, dγ, dβ, dy), by three launches; the last is the argument dy itself where `a` is None."""
    dy, z, mean, r, gamma = (packed(x, z.dtype) for x in (dy, z, mean, r, gamma))
    a = None if a is None else packed(a, z.dtype)
    xp, work = namespace(z), RowGrid(z)
    sums, out = xp.empty((work.parts, 2, work.C), xp.float64), xp.empty((5, work.C), z.dtype)
    dz = xp.empty(z.shape, z.dtype)
    g = xp.empty(z.shape, z.dtype) if both and a is not None else None
    work.sum(
        BACKWARD_SUMS, (dy, z, a, mean, g, sums, *work.size), DEEP=2, RELU=int(a is not None), KEEP=int(g is not None)
    )
    work.total(GRADIENTS, (sums, r, gamma, out, *work.size, work.parts))
    error, a = (dy, a) if g is None else (g, None)
    work.write(BACKWARD, (error, z, a, mean, out, dz, *work.size), DEEP=2, RELU=int(a is not None))
    return dz, out[0], out[1], error if both else None


def batch_norm_update_running(running_mean: Array, running_var: Array, batch: Statistics, momentum: float) -> None:
    """Both updates, in place, by one launch. Views whose numbers lie apart take the plain code."""
    if not (running_mean.flags.c_contiguous and running_var.flags.c_contiguous):
        return PLAIN(running_mean, running_var, batch, momentum)
    mean, variance = (packed(a, running_mean.dtype) for a in batch[:2])
    C, unbiased = mean.size, batch.rows / max(1, batch.rows - 1)
    args = (running_mean, running_var, mean, variance, C, float(momentum), unbiased)
    UPDATE_RUNNING(running_mean, (blocks(C, THREADS),), (THREADS,), args)
