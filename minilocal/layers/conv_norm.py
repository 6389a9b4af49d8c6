"""A convolution with the batch norm behind it."""

from __future__ import annotations

from minilocal.array import Array
from minilocal.layers.base import Arrays, PassContext
from minilocal.layers.conv import Conv
from minilocal.layers.norm import BatchNorm, NormCache
from minilocal.ops.conv_stats import conv2d_stats


def conv_norm(
    conv: Conv, norm: BatchNorm, x: Array, ctx: PassContext, p: Arrays | None = None, add: Array | None = None
) -> tuple[Array, Array, NormCache]:
    """(y, both caches), y = norm(conv(x), add): z and its statistics are made by one operation, conv2d_stats.

    In evaluation, and where the convolution has a bias, the two forwards run one after the other.
    """
    if conv.bias or not ctx.training:
        (z, of_conv), stats = conv.forward(x, ctx, p), None
    else:
        conv.out_shape(x.shape[1:])
        z, stats = conv2d_stats(x, conv._get(p, "weight"), conv.stride, conv.pad, norm.eps)
        of_conv = x
    y, of_norm = norm.forward(z, ctx, p, add, stats)
    return y, of_conv, of_norm
