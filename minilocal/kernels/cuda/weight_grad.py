"""dW of conv2d_backward (ops/conv.py) and matmul_dw in CUDA: im2col(x)ᵀ dz, a sum over all pixels, in partial sums.

The idea. dW is small and the pixels are many. So a block of threads holds a slice of dW in registers, all taps of BC
channels in by BO channels out, and goes over its part of the pixels, tile by tile: it copies the patch of x under a
tile and the errors there into shared memory, and each thread adds x dz to what it holds, the K taps of one row i by 4
channels by TO: 4·K·TO multiplications for K + TO / 4 loads of four, and neighbouring pixels share most of those.
GROUPS of threads hold the same slice and take turns at the rows of a tile.

The shapes fix the order of every sum: pixels of a group, groups of a block, and last the blocks' parts, which `total`
adds. No atomics, so no bit depends on which block came first. Pixels are counted in `int`.
"""

from __future__ import annotations

from functools import cache
from itertools import product

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.implicit_gemm import COPY, LOAD, PATCH, POWERS, SHARED, WAIT
from minilocal.kernels.cuda.launch import Kernel, Launch, blocks

THREADS = 128  # of a block, at most
SUMS = 448  # bytes of dW that a thread may hold in registers
MOST = 256  # pixels of a tile
ROW = 20  # instructions to begin a row of a tile
BLOCKS = 512  # in all, at most: as many as a large GPU holds at once

WEIGHTS = Kernel(
    "weights",
    PATCH
    + """
constexpr int HP = (TP - 1) * S + K, WP = (TQ - 1) * S + K;         // the patch under TP x TQ windows
constexpr int CV = BC / 4, OV = BO / 4, TV = TO / 4, LN = OV / TV;  // in fours
constexpr int TEAM = K * CV * LN, OWN = K * 4 * TO;                 // threads that make up dW's piece; numbers of each
constexpr int XS = G * HP * WP * CV, DS = G * TP * TQ * OV, SUMS = GROUPS > 1 ? TEAM * OWN / 4 : 1;
constexpr int BESIDE = (OWN * sizeof(T) > 384 ? 8 : 12) / ((THREADS + 31) / 32);  // blocks: 8 or 12 warps

// parts[part][i][j][c][o] = sum over the part's n, p, q of x[n, S p + i - pad, S q + j - pad, c] dz[n, p, q, o]
extern "C" __global__ void __launch_bounds__(THREADS, BESIDE)
weights(const T* __restrict__ x, const T* __restrict__ dz, T* __restrict__ parts, int N, int H, int B, int P, int Q,
        int pad) {
    __shared__ T4 shared[XS + DS > SUMS ? XS + DS : SUMS];
    T4 *xs = shared, *ds = shared + XS;
    const int across = (Q + TQ - 1) / TQ, down = (P + TP - 1) / TP, tiles = (N + G - 1) / G * down * across;
    const int c0 = blockIdx.y % ((C + BC - 1) / BC) * BC, o0 = blockIdx.y / ((C + BC - 1) / BC) * BO;
    const int group = threadIdx.x / TEAM;
    const unsigned me = threadIdx.x % TEAM, o = me % LN, c = me / LN % CV, i = me / LN / CV;
    T sum[K][4][TO] = {};
    const int end = (int)((blockIdx.x + 1LL) * tiles / gridDim.x);
    for (int tile = (int)((long long)blockIdx.x * tiles / gridDim.x); tile < end; ++tile) {
        const int n0 = tile / across / down * G, p0 = tile / across % down * TP, q0 = tile % across * TQ;
        __syncthreads();
        patch<HP, WP, CV, CV, 1, C>(xs, x, n0, p0 * S - pad, q0 * S - pad, c0, N, H, B);
        patch<TP, TQ, OV, OV, 1, O>(ds, dz, n0, p0, q0, o0, N, P, Q);
        __syncthreads();
        #pragma unroll 1
        for (unsigned row = group; row < G * TP; row += GROUPS) {
            const T4* xr = xs + (row / TP * HP + row % TP * S + i) * WP * CV + c;
            const T4* dr = ds + row * TQ * OV + o;
            #pragma unroll 4
            for (int q = 0; q < TQ; ++q) {
                T4 d[TV];
                #pragma unroll
                for (int v = 0; v < TV; ++v) d[v] = dr[q * OV + v * LN];
                #pragma unroll
                for (int j = 0; j < K; ++j) {
                    const T4 a = xr[(q * S + j) * CV];
                    #pragma unroll
                    for (int e = 0; e < 4; ++e)
                        #pragma unroll
                        for (int f = 0; f < TO; ++f) sum[j][e][f] += a.v[e] * d[f / 4].v[f % 4];
                }
            }
        }
    }
    const bool wide = is_wide(parts, O);
    #pragma unroll 1
    for (int g = GROUPS - 1; g >= 0; --g) {  // the last group first; each adds what it has to what it finds
        __syncthreads();
        if (group != g) continue;
        #pragma unroll
        for (int own = 0; own < OWN / 4; ++own) {
            const int j = own / TV / 4, e = own / TV % 4, v = own % TV, ci = c0 + 4 * c + e, oi = o0 + 4 * (v * LN + o);
            T4 a = {}, *all = shared + own * TEAM + me;
            if (g < GROUPS - 1) a = *all;
            for (int f = 0; f < 4; ++f) a.v[f] += sum[j][e][4 * v + f];
            T* to = parts + (((long long)blockIdx.x * K * K + i * K + j) * C + ci) * O + oi;
            if (g) *all = a;
            else if (ci < C) put(to, a, O - oi, wide);
        }
    }
}
""",
)

# A launch for each layer. One for all, at the end of a step, would hold the parts of every layer until then: 419 MB for
# ResNet-32 at batch 512. In `weights` the last block of each layer would have up to 19 MB to read, on two levels 1 MB.
TOTAL = Kernel(
    "total",
    """
// sum[v] = parts[0][v] + parts[1][v] + ..., 8 strands of them side by side
extern "C" __global__ void total(const T* __restrict__ parts, T* __restrict__ sum, int count, int size) {
    __shared__ T strands[8][32];
    const int v = blockIdx.x * 32 + threadIdx.x;
    T mine = 0;
    if (v < size)
        #pragma unroll 8
        for (int p = threadIdx.y; p < count; p += 8) mine += parts[(long long)p * size + v];
    strands[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.y || v >= size) return;
    for (int y = 1; y < 8; ++y) mine += strands[y][threadIdx.x];
    sum[v] = mine;
}
""",
)


def weight_gradient(dz: Array, x: Array, k: int, stride: int, pad: int) -> Array | None:
    """dW = im2col(x)ᵀ dz, None where no tile fits.        dz (N, P, Q, O), x (N, H, W, C)  →  dW (k, k, C, O)"""
    launches, xp = _launches(dz.shape, x.shape, k, stride, pad, x.itemsize), namespace(x)
    if launches is None:
        return None
    weights, total, count = launches
    shape = k, k, x.shape[3], dz.shape[3]
    parts = xp.empty((count, *shape), x.dtype)
    weights(x, dz, parts)
    if count == 1:
        return parts[0]
    dW = xp.empty(shape, x.dtype)
    total(parts, dW)
    return dW


@cache
def _launches(
    errors: tuple[int, ...], images: tuple[int, ...], k: int, stride: int, pad: int, size: int
) -> tuple[Launch, Launch, int] | None:
    """(the launch of the partial sums, the one that adds them, their number); None where no tile fits."""
    (N, P, Q, O), (_, H, B, C) = errors, images
    tile = plan((N, P, Q), C, O, k, stride, size)
    if not tile:
        return None
    tiles, slices = blocks(N, tile["G"]) * blocks(P, tile["TP"]) * blocks(Q, tile["TQ"]), _slices(C, O, tile)
    count, numbers = max(1, min(tiles // 2, BLOCKS // slices)), k * k * C * O
    sizes = N, H, B, P, Q, pad
    weights = WEIGHTS.launch((count, slices), (tile["THREADS"],), sizes, C=C, O=O, K=k, S=stride, DEEP=4, **tile)
    return weights, TOTAL.launch((blocks(numbers, 32),), (32, 8), (count, numbers)), count


def _slices(C: int, O: int, tile: dict[str, int]) -> int:
    return blocks(C, tile["BC"]) * blocks(O, tile["BO"])


@cache
def plan(pixels: tuple[int, int, int], C: int, O: int, k: int, stride: int, size: int) -> dict[str, int]:
    """The tile and the slice of dW that take fewest instructions, as constants of the build; {} where none fits.

    `pixels`: N, P, Q of z; `size`: bytes of a number.
    """
    (N, P, Q), candidates = pixels, []
    sides = (4, 8, 16, 32)
    for TO, BC, BO, TQ, TP, G in product((4, 8), sides, sides, POWERS, POWERS, POWERS):
        team, own, patch = k * BC // 4 * BO // TO, 4 * k * TO, G * ((TP - 1) * stride + k) * ((TQ - 1) * stride + k)
        if BO < TO or team > THREADS or own * size > SUMS or G * TP * TQ > MOST:
            continue
        groups = max(g for g in POWERS if g == 1 or (g * team <= THREADS and g <= G * TP))
        threads, copied = groups * team, (patch * BC + G * TP * TQ * BO) // 4
        shared = max(4 * copied, team * own if groups > 1 else 0) * size
        if shared <= SHARED // 2:
            tile = {"TO": TO, "BC": BC, "BO": BO, "TQ": TQ, "TP": TP, "G": G, "GROUPS": groups, "THREADS": threads}
            work = blocks(N, G) * blocks(P, TP) * blocks(Q, TQ) * _slices(C, O, tile)
            turn = (
                blocks(G * TP, groups) * (TQ * (own + LOAD * (k + TO // 4)) + ROW)
                + COPY * blocks(copied, threads)
                + WAIT
            )
            candidates.append((max(work, BLOCKS) * blocks(threads, 32) * turn, shared, tile))
    return min(candidates, key=lambda f: f[:2])[2] if candidates else {}
