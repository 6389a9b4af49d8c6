"""crop_flip_normalise (ops/augment.py) in CUDA: one thread for each number of the batch."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda.launch import Kernel, blocks

THREADS = 256

CROP = Kernel(
    "crop_flip_normalise",
    """
// the index of pixel i in a side of `size`, continued on both ends by its mirror images
__device__ int reflected(int i, int size) {
    const int period = size > 1 ? 2 * (size - 1) : 1, k = (i % period + period) % period;
    return k < size ? k : period - k;
}

// out[n, i, j, c] = table[padded[image, top + i, left + j, c], c], j from the right where mirrored
extern "C" __global__ void crop_flip_normalise(const unsigned char* __restrict__ images, const int* __restrict__ picks,
                                 const T* __restrict__ table, T* __restrict__ out, int H, int W, int C, int padding,
                                 int reflect) {
    const int jc = blockIdx.y * blockDim.x + threadIdx.x, n = blockIdx.x / H, i = blockIdx.x % H;
    if (jc >= W * C) return;
    const int j = jc / C, c = jc % C, *pick = picks + 4LL * n;
    const int image = pick[0], top = pick[1], left = pick[2], mirrored = pick[3];
    int h = top + i - padding, w = left + (mirrored ? W - 1 - j : j) - padding, level = 0;
    if (reflect) h = reflected(h, H), w = reflected(w, W);
    if (h >= 0 && h < H && w >= 0 && w < W) level = images[(((long long)image * H + h) * W + w) * C + c];
    out[(long long)blockIdx.x * W * C + jc] = table[level * C + c];
}
""",
)


def crop_flip_normalise(images: Array, picks: Array, table: Array, padding: int, mode: str) -> Array:
    """The same numbers, to the bit, in one launch."""
    xp, (_, H, W, C), N = namespace(images, picks, table), images.shape, len(picks)
    images, picks, table = (xp.ascontiguousarray(a) for a in (images, picks, table))
    out = xp.empty((N, H, W, C), table.dtype)
    args = (images, picks, table, out, H, W, C, padding, int(mode == "reflect"))
    CROP(table, (N * H, blocks(W * C, THREADS)), (min(W * C, THREADS),), args)
    return out
