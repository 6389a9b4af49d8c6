"""Max pooling, whose argmax routes the error of each window back, and the mean of whole maps."""

from __future__ import annotations

from typing import Any

from minilocal.array import Array, namespace
from minilocal.ops.conv import conv_out_size
from minilocal.ops.dispatch import op


@op
def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, argmax): the largest number of each k×k window and its index k i + j there, the first of equals.

    x (N, H, W, C)  →  y, argmax (N, P, Q, C), argmax of `argmax_type(k)`
    """
    xp, pixels = namespace(x), window_pixels(x, k, stride)
    y, argmax = pixels[0].copy(), xp.zeros(pixels[0].shape, argmax_type(k))
    for number, pixel in enumerate(pixels[1:], 1):
        argmax = xp.maximum(argmax, (pixel > y) * argmax.dtype.type(number))
        y = xp.maximum(y, pixel)
    return y, argmax


@op
def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx: each error added at its window's argmax.        dy, argmax (N, P, Q, C)  →  dx (N, H, W, C) of `shape`"""
    dx = namespace(dy).zeros(shape, dy.dtype)
    for number, pixel in enumerate(window_pixels(dx, k, stride)):
        pixel += dy * (argmax == number)
    return dx


@op
def global_average_pool(x: Array) -> Array:
    """The mean of every channel over the map, column by column.        x (N, H, W, C)  →  (N, 1, 1, C)"""
    xp, (N, H, W, C) = namespace(x), x.shape
    columns = xp.full((1, H), 1 / H, x.dtype) @ x.reshape(N, H, W * C)
    return (xp.full((1, W), 1 / W, x.dtype) @ columns.reshape(N, W, C)).reshape(N, 1, 1, C)


@op
def global_average_pool_backward(dy: Array, shape: tuple[int, ...]) -> Array:
    """dx = dy / (H W) at every pixel.        dy (N, 1, 1, C)  →  (N, H, W, C), which is `shape`"""
    N, H, W, C = shape
    return namespace(dy).repeat(dy.reshape(N, 1, C) * (1 / (H * W)), H * W, axis=1).reshape(shape)


def argmax_type(k: int) -> str:
    """The smallest unsigned type for an index into a k×k window: one byte up to 16×16, two up to 256×256."""
    return "uint8" if k <= 16 else "uint16" if k <= 256 else "uint32"


def pooled_shape(shape: tuple[int, ...], k: int, stride: int) -> tuple[int, int, int, int]:
    """(N, P, Q, C) for images (N, H, W, C). Raises: ValueError for images that are smaller than a window."""
    N, H, W, C = shape
    if k < 1 or stride < 1 or min(H, W) < k:  # compiled code would read what lies beyond the images
        raise ValueError(f"images {shape} met windows of {k}×{k} at every {stride}th pixel.")
    return N, conv_out_size(H, k, stride, 0), conv_out_size(W, k, stride, 0), C


def window_pixels(x: Array, k: int, stride: int) -> list[Any]:
    """For each index of the window, the pixels of all windows there: k·k views of x, (N, P, Q, C) each."""
    _, P, Q, _ = pooled_shape(x.shape, k, stride)
    return [x[:, i : i + stride * P : stride, j : j + stride * Q : stride] for i in range(k) for j in range(k)]
