"""The largest number of each window and its place, on NumPy: a few images at a time, shared by threads.

The idea. Every place in the window is a strided view of the images, and all arithmetic is between such views. A few
images stay in the cache while their k² views are gone through; places are bytes, a quarter of the numbers' size, up to
windows of 16×16. Where windows tile the image, each error is written once, and nothing is cleared or added.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minilocal.array import Array
from minilocal.kernels.threads import parallel_map, partition
from minilocal.kernels.workspace import workspace
from minilocal.ops.pool import argmax_type, window_pixels

PIECE = 256 << 10  # bytes of images that are worked on at a time


def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, place), both (N, P, Q, C): the largest of each k×k window, and its number there, the first of equals."""
    shape, kind = window_pixels(x, k, stride)[0].shape, np.dtype(argmax_type(k))
    y, argmax = np.empty(shape, x.dtype), np.zeros(shape, kind)

    def few(i: int, j: int) -> None:
        pixels, high, at = window_pixels(x[i:j], k, stride), y[i:j], argmax[i:j]
        above, here = workspace("pool above", at.shape, np.bool_), workspace("pool place", at.shape, kind)
        high[...] = pixels[0]
        for number, pixel in enumerate(pixels[1:], 1):
            np.greater(pixel, high, out=above)
            np.multiply(above.view(np.uint8), kind.type(number), out=here)
            np.maximum(at, here, out=at)
            np.maximum(high, pixel, out=high)

    _by_images(few, x)
    return y, argmax


def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx (N, H, W, C) of `shape`: each error put where the largest number stood, overlaps added."""
    tiled = stride == k and shape[1] % k == 0 and shape[2] % k == 0
    dx = (np.empty if tiled else np.zeros)(shape, dy.dtype)

    def few(i: int, j: int) -> None:
        d, at = dy[i:j], argmax[i:j]
        for number, pixel in enumerate(window_pixels(dx[i:j], k, stride)):
            if tiled:
                np.multiply(d, at == number, out=pixel)
            else:
                pixel += d * (at == number)

    _by_images(few, dx)
    return dx


def _by_images(few: Callable[[int, int], None], x: Array) -> None:
    """`few(i, j)` for all images of x, PIECE bytes at a time."""
    step = max(1, PIECE * len(x) // max(1, x.nbytes))

    def part(first: int, last: int) -> None:
        for i in range(first, last, step):
            few(i, min(i + step, last))

    parallel_map(part, partition(len(x)))
