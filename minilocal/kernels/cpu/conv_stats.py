"""conv2d_stats (ops/conv_stats.py) on NumPy: the convolution, then the statistics of its result."""

from __future__ import annotations

from numpy import ndarray as Array

from minilocal.kernels.cpu.batch_norm import batch_norm_stats
from minilocal.kernels.cpu.conv import conv2d
from minilocal.ops.batch_norm import Statistics


def conv2d_stats(x: Array, W: Array, stride: int = 1, pad: int = 0, eps: float = 1e-5) -> tuple[Array, Statistics]:
    """(z, μ, σ² and r of z)."""
    z = conv2d(x, W, stride, pad)
    return z, batch_norm_stats(z, eps)
