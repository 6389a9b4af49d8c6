"""The largest number of each window, and the place in the window where it stood."""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.ops.conv import conv_out_size
from minilocal.ops.dispatch import op


@op
def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, place), both (N, P, Q, C): the largest of each k×k window, and its number there; the first of equals.

    x (N, H, W, C); places are of `place_type(k)`.
    """
    xp, pixels = namespace(x), window_pixels(x, k, stride)
    y, argmax = pixels[0].copy(), xp.zeros(pixels[0].shape, argmax_type(k))
    for number, pixel in enumerate(pixels[1:], 1):
        argmax = xp.maximum(argmax, (pixel > y) * argmax.dtype.type(number))
        y = xp.maximum(y, pixel)
    return y, argmax


@op
def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx (N, H, W, C) of `shape`: each error put where the largest number stood, overlaps added."""
    dx = namespace(dy).zeros(shape, dy.dtype)
    for number, pixel in enumerate(window_pixels(dx, k, stride)):
        pixel += dy * (argmax == number)
    return dx


def argmax_type(k: int) -> str:
    """The smallest unsigned type that numbers the places of a k×k window: one byte up to 16×16, two up to 256×256."""
    return "uint8" if k <= 16 else "uint16" if k <= 256 else "uint32"


def window_pixels(x: Array, k: int, stride: int) -> list[Array]:
    """For each place in the window, the pixels that stand there in all windows: views of x, (N, P, Q, C) each."""
    P, Q = conv_out_size(x.shape[1], k, stride, 0), conv_out_size(x.shape[2], k, stride, 0)
    return [x[:, i : i + stride * P : stride, j : j + stride * Q : stride] for i in range(k) for j in range(k)]
