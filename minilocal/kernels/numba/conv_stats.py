"""conv2d_stats (ops/conv_stats.py): a part of the batch is convolved, and summed while it lies in the cache."""

from __future__ import annotations

from numpy import ndarray as Array

from minilocal.kernels.cpu.conv import conv2d
from minilocal.kernels.numba.batch_norm import batch_norm_stats
from minilocal.kernels.numba.channel_sums import combine, shifted_sums
from minilocal.kernels.numba.conv import fits, parts_of
from minilocal.kernels.threads import parallel_map, partition
from minilocal.ops.batch_norm import Statistics
from minilocal.ops.conv import conv_out_size


def conv2d_stats(x: Array, W: Array, stride: int = 1, pad: int = 0, eps: float = 1e-5) -> tuple[Array, Statistics]:
    """(z, μ, σ² and r of z). Each part has a shift of its own, as in `batch_norm_stats`."""
    if not fits(W.shape[3], x, W, conv_out_size(x.shape[2], W.shape[0], stride, pad)):
        z = conv2d(x, W, stride, pad)
        return z, batch_norm_stats(z, eps)
    z, convolve = parts_of(x, W, stride, pad)
    rows, pixels, parts = z.reshape(-1, z.shape[3]), z.shape[1] * z.shape[2], partition(len(x))

    def part(first: int, last: int) -> tuple[Array, Array]:
        convolve(first, last)
        return shifted_sums(rows, first * pixels, last * pixels)

    totals, shifts = zip(*parallel_map(part, parts), strict=True)
    return z, combine(totals, shifts, [(j - i) * pixels for i, j in parts], eps)
