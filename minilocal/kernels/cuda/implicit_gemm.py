"""conv2d and its input error (ops/conv.py) in CUDA by implicit GEMM: a matrix product whose im2col is never written.

The idea. A block of threads makes BM = G·TP·TQ pixels by BN channels of z. It copies the patch of x under its pixels,
CK channels deep, and the weights of these channels into shared memory, once; from then on a tap (i, j) is nothing but
an offset into the patch. Each thread keeps TM pixels by TN channels in registers, and reads x and W four numbers at a
time: 4·TM·TN multiplications for TM + TN loads, and no index arithmetic between them.

The input error is the same product. dx[h] = Σ dz[p] Wᵀ[i] over s p + i - pad = h, and across likewise. The pixels
h = s u + a of one remainder a meet only the taps i = r + s i″, r = (a + pad) mod s, at p = u + ⌊(a + pad) / s⌋ - i″: an
ordinary convolution of dz, of stride one, with every s-th tap, turned by half a turn. So dx is s·s interleaved
convolutions (UP is s; at stride one, the one with the flipped kernel), and the zeros that a stride would put between
the errors are never multiplied.

A number of z is summed over chunks of CK channels, in them over taps, in them over channels. CK depends on the window,
the stride, C and the type only, so z and dx are bit-identical for every tile and batch size. The `moments` of a block
are sums over its pixels: their bits, and those of a batch norm's statistics, depend on the tile, which the shapes fix.
`plan` counts the instructions of every tile, from shapes alone, and takes the fewest; a block that leaves no room for
three more beside it in 100 KB of shared memory counts for more. The patch lies in planes of four channels, so that
pixels side by side, which neighbouring threads read, are in different banks without padding.

Rows of pixels (N·H), and the numbers of W, are counted in `int`.
"""

from __future__ import annotations

from functools import cache
from itertools import product

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, Launch, blocks
from minilocal.ops.conv import conv_out_size

THREADS = 128
SHARED = 48 << 10  # bytes of shared memory that a block has without asking
POWERS = (1, 2, 4, 8, 16, 32, 64, 128)
FOUR = 24 << 10  # bytes of a block up to which four share a processor of 100 KB; each takes another KB
LARGE = 1.15  # times the work, of a block with more
SUMS = 256  # bytes of z that a thread may hold in registers
ENOUGH = 256  # blocks: with fewer, a GPU's processors stand idle
LOAD, COPY, WAIT = 3, 24, 200  # multiplications' time: read four shared numbers; copy four there; wait for all of them

VECTOR = """
// Four numbers that lie together, zeros where fewer are left; in one load if all of them are `wide`.
__device__ __forceinline__ T4 four(const T* at, int left, bool wide) {
    T4 a = {};
    if (wide) { if (left > 0) a = *(const T4*)at; }
    else for (int e = 0; e < 4; ++e) if (e < left) a.v[e] = at[e];
    return a;
}
__device__ __forceinline__ void put(T* at, const T4& a, int left, bool wide) {
    if (wide) { if (left > 0) *(T4*)at = a; }
    else for (int e = 0; e < 4; ++e) if (e < left) at[e] = a.v[e];
}
__device__ __forceinline__ bool is_wide(const T* x, int last) { return last % 4 == 0 && (size_t)x % sizeof(T4) == 0; }
"""

PATCH = (
    VECTOR
    + """
// to(t, from(t)) for t < COUNT, by all threads, DEEP loads under way at a time.
template <int COUNT, class From, class To> __device__ __forceinline__ void copy(From from, To to) {
    #pragma unroll 1
    for (unsigned t = threadIdx.x; t < COUNT; t += DEEP * THREADS) {
        T4 in[DEEP];
        #pragma unroll
        for (int u = 0; u < DEEP; ++u) in[u] = from(t + u * THREADS);
        #pragma unroll
        for (int u = 0; u < DEEP; ++u) if (t + u * THREADS < COUNT) to(t + u * THREADS, in[u]);
    }
}

// to[pixel PIXEL + v PLANE]: what G images of x (N, H, B, LAST) hold from image n0, row h0, column w0, channel c0 on,
// ROWS by COLUMNS pixels of each; zeros around
template <int ROWS, int COLUMNS, int V, int PIXEL, int PLANE, int LAST>
__device__ __forceinline__ void patch(T4* to, const T* x, int n0, int h0, int w0, int c0, int N, int H, int B) {
    const bool wide = is_wide(x, LAST);
    copy<G * ROWS * COLUMNS * V>([&](unsigned t) {
        const unsigned s = t / V;
        const int w = w0 + s % COLUMNS, h = h0 + s / COLUMNS % ROWS, n = n0 + s / COLUMNS / ROWS, c = c0 + t % V * 4;
        const bool inside = s < G * ROWS * COLUMNS && n < N && h >= 0 && h < H && w >= 0 && w < B;
        return four(x + ((long long)(n * H + h) * B + w) * LAST + c, inside ? LAST - c : 0, wide);
    }, [&](unsigned t, const T4& in) { to[t / V * PIXEL + t % V * PLANE] = in; });
}
"""
)

CONV = Kernel(
    "conv2d",
    PATCH
    + """
constexpr int HP = (TP - 1) * S + K, WP = (TQ - 1) * S + K;   // the patch under TP x TQ windows
constexpr int V = CK / 4, E = 8 / V;                          // xs[v][pixel]: neighbours lie in different banks,
constexpr int PLANE = (G * HP * WP + 7 - E) / 8 * 8 + E;      // and E of them, in all V planes, as they are copied
constexpr int BN = LN * TN, LM = THREADS / LN;                // LN threads side by side, LM below each other
constexpr int R = THREADS / (2 * BN), LONG = LM + R;          // of `moments`
constexpr int COPIED = V * PLANE + K * K * CK * BN / 4, SUMS = STATS ? BN * (2 * LONG + 1) / 4 : 0;
constexpr int PIECES = (O + BN - 1) / BN * UP * UP;           // of the channels out, times the pixels' remainders
__device__ constexpr int offset(unsigned m) { return (m / TQ / TP * HP + m / TQ % TP * S) * WP + m % TQ * S; }

// Ws[i][j][c][o]: the weights of channels c0 .. c0 + CK, outputs o0 .. o0 + BN; turned: every UP-th tap from (r, s) on
__device__ __forceinline__ void weights(T4* Ws, const T* W, int c0, int o0, int r, int s) {
    const bool wide = is_wide(W, TURN ? C : O);
    if (TURN)
        copy<K * K * V * BN>([&](unsigned t) {
            const int o = o0 + t % BN, tap = t / BN / V, c = c0 + t / BN % V * 4;
            const int i = r + UP * (K - 1 - tap / K), j = s + UP * (K - 1 - tap % K);
            return four(W + ((i * KW + j) * O + o) * C + c, tap < K * K && i < KW && j < KW && o < O ? C - c : 0, wide);
        }, [&](unsigned t, const T4& in) {
            for (int e = 0; e < 4; ++e) ((T*)Ws)[(t / BN * 4 + e) * BN + t % BN] = in.v[e];
        });
    else
        copy<K * K * CK * BN / 4>([&](unsigned t) {
            const int o = o0 + t % (BN / 4) * 4, tap = t / (BN / 4) / CK, c = c0 + t / (BN / 4) % CK;
            return four(W + (tap * C + c) * O + o, tap < K * K && c < C ? O - o : 0, wide);
        }, [&](unsigned t, const T4& in) { Ws[t] = in; });
}

// sums[part][0..3][o]: Σ d and Σ d² over the pixels of this block, d = z - z₀; z₀, its first pixel; and their number.
// Every thread adds up its own pixels, then R threads the LM sums of a channel; LONG keeps them in different banks.
template <class Inside>
__device__ __forceinline__ void moments(const T (&sum)[TM][TN], Inside inside, T* shared, double* sums, int part,
                                        int pixels, unsigned n, unsigned m, int o0) {
    T *all = shared, *first = shared + 2 * BN * LONG;
    __syncthreads();
    #pragma unroll
    for (int j = 0; j < TN; ++j) if (m == 0) first[4 * n + j / 4 * 4 * LN + j % 4] = sum[0][j];
    __syncthreads();
    #pragma unroll
    for (int j = 0; j < TN; ++j) {
        const int o = 4 * n + j / 4 * 4 * LN + j % 4;
        const T z0 = first[o];
        T one = 0, two = 0;
        #pragma unroll
        for (int i = 0; i < TM; ++i) {
            const T d = inside(i) ? sum[i][j] - z0 : 0;
            one += d, two += d * d;
        }
        all[o * LONG + m] = one, all[(BN + o) * LONG + m] = two;
    }
    __syncthreads();
    const int row = threadIdx.x / R, o = o0 + row % BN;
    T mine = 0;
    #pragma unroll 8
    for (int u = 0; u < LM; u += R) mine += all[row * LONG + threadIdx.x % R + u];
    #pragma unroll
    for (int half = R / 2; half; half /= 2) mine += __shfl_xor_sync(0xffffffff, mine, half);
    if (threadIdx.x % R || o >= O) return;
    double* at = sums + 4LL * part * O + o;
    at[row / BN * O] = mine;
    if (row < BN) at[2 * O] = first[row], at[3 * O] = pixels;
}

// z[n, p, q, o] = sum over i, j, c of x[n, S p + i - pad, S q + j - pad, c] W[i, j, c, o],
// or, with TURN, dx from dz in its place, for the pixels of one remainder (a, b) by UP; with ADD, plus `add`;
// with STATS, the `moments` of every block as well
extern "C" __global__ void __launch_bounds__(THREADS, 512 / THREADS)
conv2d(const T* __restrict__ x, const T* __restrict__ W, const T* __restrict__ add, T* __restrict__ z,
       double* __restrict__ sums, int N, int H, int B, int P, int Q, int pad) {
    __shared__ T4 shared[COPIED > SUMS ? COPIED : SUMS];
    T4 *xs = shared, *Ws = shared + V * PLANE;
    const unsigned piece = blockIdx.x % PIECES;
    const int a = piece / UP % UP, b = piece % UP, o0 = piece / UP / UP * BN;
    const int n0 = blockIdx.x / PIECES * G, p0 = blockIdx.y * TP, q0 = blockIdx.z * TQ;
    const int h0 = p0 * S - (TURN ? K - 1 - (a + pad) / UP : pad), w0 = q0 * S - (TURN ? K - 1 - (b + pad) / UP : pad);
    const unsigned t = threadIdx.x;  // its lowest bits alternate: neighbours read the same x, or the same W
    const unsigned n = t % 2 + t / 4 % (LN / 2) * 2, m = t / 2 % 2 + t / (2 * LN) * 2;
    T sum[TM][TN] = {};
    for (int c0 = 0; c0 < C; c0 += CK) {
        __syncthreads();
        patch<HP, WP, V, 1, PLANE, C>(xs, x, n0, h0, w0, c0, N, H, B);
        weights(Ws, W, c0, o0, (a + pad) % UP, (b + pad) % UP);
        __syncthreads();
        const T4 *xt = xs + offset(m), *Wt = Ws + n;
        #pragma unroll 1
        for (int row = 0; row < K; ++row, xt += WP - K)
        #pragma unroll 1
        for (int tap = 0; tap < K; ++tap, ++xt, Wt += CK * BN / 4) {
            #pragma unroll
            for (int v = 0; v < V; ++v) {
                T4 xv[TM], Wv[TN / 4];
                #pragma unroll
                for (int i = 0; i < TM; ++i) xv[i] = xt[offset(i * LM) + v * PLANE];
                #pragma unroll
                for (int e = 0; e < 4; ++e) {
                    #pragma unroll
                    for (int j = 0; j < TN / 4; ++j) Wv[j] = Wt[(4 * v + e) * BN / 4 + j * LN];
                    #pragma unroll
                    for (int i = 0; i < TM; ++i)
                        #pragma unroll
                        for (int j = 0; j < TN; ++j) sum[i][j] += xv[i].v[e] * Wv[j / 4].v[j % 4];
                }
            }
        }
    }
    if (STATS) {
        const int part = (blockIdx.x / PIECES * gridDim.y + blockIdx.y) * gridDim.z + blockIdx.z;
        const int pixels = min(G, N - n0) * min(TP, P - p0) * min(TQ, Q - q0);
        moments(sum, [&](int i) {
            const int row = (m + i * LM) / TQ;
            return n0 + row / TP < N && p0 + row % TP < P && q0 + (int)(m % TQ) < Q;
        }, (T*)shared, sums, part, pixels, n, m, o0);
    }
    const bool wide = is_wide(z, O) && (!ADD || is_wide(add, O));
    #pragma unroll
    for (int i = 0; i < TM; ++i) {
        const unsigned row = (m + i * LM) / TQ;
        const int image = n0 + row / TP;
        const int p = (p0 + row % TP) * UP + a, q = (q0 + m % TQ) * UP + b;
        if (image >= N || p >= P || q >= Q) continue;
        #pragma unroll
        for (int j = 0; j < TN; j += 4) {
            const int o = o0 + 4 * n + j * LN;
            const long long at = ((long long)(image * P + p) * Q + q) * O + o;
            const T4 more = ADD ? four(add + at, O - o, wide) : T4{};
            T4 out = {sum[i][j], sum[i][j + 1], sum[i][j + 2], sum[i][j + 3]};
            if (ADD) for (int e = 0; e < 4; ++e) out.v[e] += more.v[e];
            put(z + at, out, O - o, wide);
        }
    }
}
""",
)


def conv2d(x: Array, W: Array, stride: int, pad: int) -> Array | None:
    """z = im2col(x) W, None where no tile fits.        x (N, H, W, C), W (k, k, C, O)  →  z (N, P, Q, O)"""
    return _product(x, W, _out_shape(x, W, stride, pad), pad, None, 0, **_window(W, stride))[0]


def conv2d_moments(x: Array, W: Array, stride: int, pad: int) -> tuple[Array | None, Array | None]:
    """z, and of each block of its pixels Σ d, Σ d², z₀ and their number, d = z - z₀; both None where no tile fits.

    x (N, H, W, C), W (k, k, C, O)  →  z (N, P, Q, O), moments (blocks, 4, O), float64
    """
    return _product(x, W, _out_shape(x, W, stride, pad), pad, None, 1, **_window(W, stride))


def input_error(
    dz: Array, W: Array, shape: tuple[int, ...], stride: int, pad: int, add: Array | None = None
) -> Array | None:
    """dx = col2im(dz Wᵀ) [+ add], None where no tile fits.      dz (N, P, Q, O), W (k, k, C, O)  →  dx (N, H, W, C)"""
    k = W.shape[0]
    return _product(dz, W, shape, pad, add, 0, KW=k, K=blocks(k, stride), S=1, UP=stride, TURN=1)[0]


def _out_shape(x: Array, W: Array, stride: int, pad: int) -> tuple[int, ...]:
    (N, H, B, _), (k, _, _, O) = x.shape, W.shape
    return N, conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad), O


def _window(W: Array, stride: int) -> dict[str, int]:
    return {"KW": W.shape[0], "K": W.shape[0], "S": stride, "UP": 1, "TURN": 0}


def _product(
    x: Array, W: Array, shape: tuple[int, ...], pad: int, add: Array | None, STATS: int, **window: int
) -> tuple[Array | None, Array | None]:
    """z [+ add], and with STATS the moments of its blocks, each None where it is not made."""
    planned = _launch(x.shape, shape, pad, x.itemsize, ADD=int(add is not None), STATS=STATS, **window)
    if planned is None:
        return None, None
    (launch, parts), xp = planned, namespace(x)
    z, sums = xp.empty(shape, x.dtype), xp.empty((parts, 4, shape[3]), xp.float64) if STATS else None
    if z.size:
        launch(x, W, add, z, sums)
    return z, sums


@cache
def _launch(
    images: tuple[int, ...], shape: tuple[int, ...], pad: int, size: int, **window: int
) -> tuple[Launch, int] | None:
    """The launch that makes z of this shape from these images, and its blocks of pixels; None where no tile fits."""
    (_, H, B, C), (N, P, Q, O), UP = images, shape, window["UP"]
    pixels = N, blocks(P, UP), blocks(Q, UP)
    tile = plan(pixels, C, O, window["K"], window["S"], UP * UP, size)
    if not tile:
        return None
    groups, down, across = (blocks(side, tile[of]) for side, of in zip(pixels, ("G", "TP", "TQ"), strict=True))
    grid = groups * blocks(O, tile["LN"] * tile["TN"]) * UP * UP, down, across
    launch = CONV.launch(grid, (THREADS,), (N, H, B, P, Q, pad), C=C, O=O, THREADS=THREADS, **window, **tile)
    return launch, groups * down * across


@cache
def plan(pixels: tuple[int, int, int], C: int, O: int, k: int, stride: int, copies: int, size: int) -> dict[str, int]:
    """The tile that takes fewest instructions, as constants of the build; {} where none fits in shared memory.

    `pixels`: images, rows and columns that one of the `copies` interleaved convolutions makes; C and O: channels in and
    out; `size`: bytes of a number. The first CK for which any tile fits is taken, whatever the pixels.
    """
    N, P, Q = pixels
    for CK in (CK for CK in (32, 16, 8, 4) if CK == 4 or (CK < C + 4 and k * k * CK <= 80)):
        candidates = []
        for (LN, TN), TM, TQ, TP in product(((2, 4), (2, 8), (4, 8), (8, 8)), (4, 8), POWERS, POWERS):
            G, BN = THREADS // LN * TM // TQ // TP, LN * TN
            tile = {"LN": LN, "TN": TN, "TM": TM, "TQ": TQ, "TP": TP, "G": G, "CK": CK}
            fits = G and TQ <= THREADS // LN and TM * TN * size <= SUMS
            if fits and (shared := shared_bytes(tile, k, stride, size)) <= SHARED:
                patch = _patch(tile, k, stride) * CK // 4
                inner = k * k * CK // 4 * (4 * TM * TN + LOAD * (TM + TN))
                copy = COPY * (blocks(patch, THREADS) + blocks(k * k * CK * BN // 4, THREADS)) + WAIT
                tiles = blocks(N, G) * blocks(P, TP) * blocks(Q, TQ) * blocks(O, BN) * copies
                cost = max(tiles, ENOUGH) * blocks(C, CK) * (inner + copy) * (1 if shared <= FOUR else LARGE)
                candidates.append((cost, shared, {**tile, "DEEP": 4 if TM * TN * size < 256 else 2}))
        if candidates:
            return min(candidates, key=lambda f: f[:2])[2]
    return {}


def shared_bytes(tile: dict[str, int], k: int, stride: int, size: int) -> int:
    """The shared memory of a block with this tile: the patch, a plane for every four channels, and the weights."""
    V = tile["CK"] // 4
    plane = blocks(_patch(tile, k, stride) - 8 // V, 8) * 8 + 8 // V  # PLANE
    return 4 * size * (V * plane + k * k * V * tile["LN"] * tile["TN"])


def _patch(tile: dict[str, int], k: int, stride: int) -> int:
    """The pixels of x under a tile."""
    return tile["G"] * ((tile["TP"] - 1) * stride + k) * ((tile["TQ"] - 1) * stride + k)
