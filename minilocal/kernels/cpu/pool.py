"""max_pool, max_pool_backward (ops/pool.py) on NumPy: a few images at a time, shared by threads.

The idea. Each index of the window is a strided view of the images, and all arithmetic is between such views. A few
images stay in the cache while their k² views are read. Where windows tile the image, each error is written once, and
nothing is cleared or added.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import parallel_map, partition
from minilocal.kernels.workspace import workspace
from minilocal.ops.pool import argmax_type, window_pixels

CHUNK = 256 << 10  # bytes of images that are worked on at a time


def max_pool(x: Array, k: int, stride: int) -> tuple[Array, Array]:
    """(y, argmax), view by view: argmax ← number where the pixel is above all before it."""
    shape, kind = window_pixels(x, k, stride)[0].shape, np.dtype(argmax_type(k))
    y, argmax = np.empty(shape, x.dtype), np.zeros(shape, kind)

    def some_images(i: int, j: int) -> None:
        pixels, largest, index = window_pixels(x[i:j], k, stride), y[i:j], argmax[i:j]
        above, candidate = workspace("pool above", index.shape, np.bool_), workspace("pool argmax", index.shape, kind)
        largest[...] = pixels[0]
        for number, pixel in enumerate(pixels[1:], 1):
            np.greater(pixel, largest, out=above)
            np.multiply(above.view(np.uint8), kind.type(number), out=candidate)
            np.maximum(index, candidate, out=index)
            np.maximum(largest, pixel, out=largest)

    _by_images(some_images, x)
    return y, argmax


def max_pool_backward(dy: Array, argmax: Array, shape: tuple[int, ...], k: int, stride: int) -> Array:
    """dx, view by view: written where windows tile the image, added elsewhere."""
    tiled = stride == k and shape[1] % k == 0 and shape[2] % k == 0
    dx = (np.empty if tiled else np.zeros)(shape, dy.dtype)

    def some_images(i: int, j: int) -> None:
        d, index = dy[i:j], argmax[i:j]
        for number, pixel in enumerate(window_pixels(dx[i:j], k, stride)):
            if tiled:
                np.multiply(d, index == number, out=pixel)
            else:
                pixel += d * (index == number)

    _by_images(some_images, dx)
    return dx


def _by_images(work: Callable[[int, int], None], x: Array) -> None:
    """Call `work(i, j)` for all images of x, CHUNK bytes at a time."""
    step = max(1, CHUNK * len(x) // max(1, x.nbytes))

    def part(first: int, last: int) -> None:
        for i in range(first, last, step):
            work(i, min(i + step, last))

    parallel_map(part, partition(len(x)))
