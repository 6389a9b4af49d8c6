"""Pooling: the maximum or the mean of windows, of the whole map, or of a given number of bins."""

from __future__ import annotations

from typing import Any

from minilocal.array import Array, namespace
from minilocal.errors import UserError
from minilocal.layers.base import Arrays, Cache, Layer, Need, PassContext, Shape, whole_sizes
from minilocal.layers.resize import BySides
from minilocal.ops.conv import conv_out_size
from minilocal.ops.pool import (
    global_average_pool,
    global_average_pool_backward,
    max_pool,
    max_pool_backward,
    window_pixels,
)


class _Windows(Layer[Cache]):
    """The base of pools of k×k windows at every `stride`-th pixel, without padding or incomplete last windows.

    `forward` and `out_shape` raise UserError for images that are smaller than a window.

    Raises: UserError for a size or a stride that is no whole number of 1 or more.
    """

    def __init__(self, size: int, stride: int | None = None, *, name: str = "") -> None:
        super().__init__(name)
        self.size, self.stride = whole_sizes(self, size=size, stride=size if stride is None else stride)

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or min(shape[:2]) < self.size:
            name = f" {self.name!r}" if self.name else ""
            raise UserError(
                f"{type(self).__name__}({self.size}){name} was given {shape} per sample: it needs images of at "
                f"least {self.size}×{self.size}. Use larger images."
            )
        return (*(conv_out_size(side, self.size, self.stride, 0) for side in shape[:2]), shape[2])

    def _pixels(self, x: Array) -> list[Array]:
        """For each index of the window, the pixels of all windows there: k·k views of x, (N, P, Q, C) each."""
        return window_pixels(x, self.size, self.stride)


class MaxPool(_Windows[tuple[Array, Shape]]):
    """The maximum of each window;   dx = dy at its index, the first of equal ones, and 0 elsewhere.

    x (N, H, W, C)  →  (N, P, Q, C),  P = ⌊(H - k) / stride⌋ + 1. `forward` and `out_shape` raise UserError for images
    that are smaller than a window.

    Keeps that index, one byte a window (two for windows larger than 16×16 pixels), and the shape of x; not x.
    """

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, tuple[Array, Shape]]:
        self.out_shape(x.shape[1:])
        y, argmax = max_pool(x, self.size, self.stride)
        return y, (argmax, x.shape)

    def backward(
        self, dy: Array, cache: tuple[Array, Shape], p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        argmax, shape = cache
        return max_pool_backward(dy, argmax, shape, self.size, self.stride), {}


class AveragePool(_Windows[Shape]):
    """The mean of each window;   dx = dy / k², spread over the window. Keeps the shape of x only.

    x (N, H, W, C)  →  (N, P, Q, C) as `MaxPool`; `forward` and `out_shape` raise UserError as there.
    """

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Shape]:
        self.out_shape(x.shape[1:])
        pixels = self._pixels(x)
        y = pixels[0].copy()
        for pixel in pixels[1:]:
            y += pixel
        y *= 1 / len(pixels)
        return y, x.shape

    def backward(
        self, dy: Array, cache: Shape, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        dx, share = namespace(dy).zeros(cache, dy.dtype), dy * (1 / self.size**2)
        for pixel in self._pixels(dx):
            pixel += share
        return dx, {}


class GlobalAveragePool(Layer[Shape]):
    """The mean of each channel over the map: y = mean_{hw} x;   dx = dy / (H W). Keeps the shape of x.

    x (N, H, W, C)  →  y (N, 1, 1, C)
    """

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Shape]:
        return global_average_pool(x), x.shape

    def backward(
        self, dy: Array, cache: Shape, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        return global_average_pool_backward(dy, cache), {}

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise UserError(f"GlobalAveragePool was given {shape} per sample: it takes images (H, W, C).")
        return 1, 1, shape[2]


class AdaptiveAveragePool(BySides):
    """The mean of each of o×p bins; bin i covers rows ⌊iH/o⌋ to ⌈(i+1)H/o⌉ - 1, so bins may overlap.

    x (N, H, W, C)  →  (N, o, p, C);   o is `bins`, p `columns` or else o too.

    A[i, j] = 1/size of bin i where row j lies in it, else 0
    """

    def __init__(self, bins: int, columns: int | None = None, *, name: str = "") -> None:
        super().__init__(bins, bins if columns is None else columns, name=name)
        self.bins = self.height

    def _side(self, side: int, bins: int) -> int:
        return bins

    def _matrix(self, xp: Any, side: int, bins: int, dtype: Any) -> Array:
        i, j = xp.arange(bins)[:, None], xp.arange(side)[None, :]
        inside = ((j >= i * side // bins) & (j < -(-(i + 1) * side // bins))).astype(dtype)
        return inside / inside.sum(axis=1, keepdims=True)
