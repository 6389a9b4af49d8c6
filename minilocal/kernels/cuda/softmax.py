"""cross_entropy (ops/softmax.py) in CUDA: one launch for the rows, one for the mean of their losses."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks

LANES, ROWS = 32, 8  # of a block: threads that share a row of z, times rows
THREADS = 256  # that share the mean

ROW = Kernel(
    "softmax_rows",
    """
template <int bytes> struct Whole { using type = unsigned char; };
template <> struct Whole<2> { using type = unsigned short; };
template <> struct Whole<4> { using type = unsigned int; };
template <> struct Whole<8> { using type = unsigned long long; };

// the largest, or the sum, of one number from each lane of a row, for all its lanes; each in shared memory of its own
template <bool largest> __device__ T reduce_row(T mine) {
    __shared__ T all[ROWS][LANES];
    T* row = all[threadIdx.y];
    row[threadIdx.x] = mine;
    for (int half = LANES / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) {
            T other = row[threadIdx.x + half], own = row[threadIdx.x];
            row[threadIdx.x] = !largest ? own + other : own > other ? own : other;
        }
    }
    __syncthreads();
    return row[0];
}

// L[n] = -log pₙ[yₙ] = log Σ exp(z - max z) - (z[yₙ] - max z)      dz = (p - onehot(y)) / N
extern "C" __global__ void softmax_rows(const T* z, const Whole<LABEL_BYTES>::type* labels, T* losses, T* dz, int N,
                                        int C, double share) {
    const int n = blockIdx.x * ROWS + threadIdx.y;
    const long long row = (long long)n * C;
    T top = n < N ? z[row] : 0, sum = 0;
    if (n < N)
        for (int c = threadIdx.x; c < C; c += LANES) top = z[row + c] > top ? z[row + c] : top;
    top = reduce_row<true>(top);
    if (n < N)
        for (int c = threadIdx.x; c < C; c += LANES) sum += exp(z[row + c] - top);
    const T log_sum = log(reduce_row<false>(sum));
    if (n >= N) return;
    const unsigned long long label = labels[n];
    for (int c = threadIdx.x; c < C; c += LANES)
        dz[row + c] = (exp(z[row + c] - top - log_sum) - (c == label)) * (T)share;
    if (threadIdx.x == 0) losses[n] = label < C ? log_sum - (z[row + label] - top) : log((T)-1);   // no such class: NaN
}
""",
)

MEAN = Kernel(
    "mean_of_losses",
    """
// L = Σ L[n] / N, in an order that N alone decides
extern "C" __global__ void mean_of_losses(const T* losses, double* mean, int N) {
    __shared__ double all[THREADS];
    double sum = 0;
    for (int n = threadIdx.x; n < N; n += THREADS) sum += losses[n];
    all[threadIdx.x] = sum;
    for (int half = THREADS / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
    }
    if (threadIdx.x == 0) *mean = all[0] / N;
}
""",
)


def cross_entropy(z: Array, labels: Array) -> tuple[Array, Array]:
    """(loss, dz). A label that is no class gives NaN: on a device nothing can raise."""
    xp, (N, C) = namespace(z, labels), z.shape
    z, labels = xp.ascontiguousarray(z), xp.ascontiguousarray(labels).view(f"u{labels.itemsize}")  # none is negative
    losses, dz, mean = xp.empty(N, z.dtype), xp.empty(z.shape, z.dtype), xp.empty((), xp.float64)
    sizes = {"LANES": LANES, "ROWS": ROWS, "LABEL_BYTES": labels.itemsize}
    ROW(z, (blocks(N, ROWS),), (LANES, ROWS), (z, labels, losses, dz, N, C, 1 / N), **sizes)
    MEAN(z, (1,), (THREADS,), (losses, mean, N), THREADS=THREADS)
    return mean, dz
