"""A convolution with the batch norm behind it."""

from __future__ import annotations

from minilocal.array import Array
from minilocal.layers.base import Arrays, Layer, PassContext
from minilocal.layers.conv import Conv
from minilocal.layers.norm import BatchNorm, NormCache
from minilocal.ops.conv_stats import conv2d_stats


def conv_norm(
    conv: Conv, norm: BatchNorm, x: Array, ctx: PassContext, p: Arrays | None = None, add: Array | None = None
) -> tuple[Array, Array, NormCache]:
    """(y, both caches), y = norm(conv(x), add): z and its statistics are made by one operation, conv2d_stats.

    In evaluation, where the convolution has a bias, and where a subclass has a forward of its own, the two forwards run
    one after the other.
    """
    if conv.bias or not ctx.training or not (_is_own(conv, Conv) and _is_own(norm, BatchNorm)):
        z, of_conv = conv.forward(x, ctx, p)
        y, of_norm = norm.forward(z, ctx, p) if add is None else norm.forward(z, ctx, p, add)
        return y, of_conv, of_norm
    conv.out_shape(x.shape[1:])
    z, stats = conv2d_stats(x, conv._get(p, "weight"), conv.stride, conv.pad, norm.eps)
    y, of_norm = norm.forward(z, ctx, p, add, stats)
    return y, x, of_norm


def _is_own(layer: Layer, kind: type[Layer]) -> bool:
    """Whether the layer's forward is the one that this class defines."""
    return getattr(layer.forward, "__func__", None) is kind.forward
