"""Pooling: the largest of a window, or its mean; over the whole map, or to a given number of bins."""

from __future__ import annotations

from typing import Any

from minilocal.array import Array, namespace
from minilocal.errors import UserError
from minilocal.kernels import max_pool, max_pool_backward, out_size
from minilocal.kernels.plain.pool import window_pixels
from minilocal.layers.base import Arrays, Layer, Need, Run, Shape


class _Windows(Layer):
    """Windows of k×k pixels, `stride` apart, without padding; an incomplete last window is left out."""

    def __init__(self, size: int, stride: int | None = None, *, name: str = "") -> None:
        super().__init__(name)
        self.size, self.stride = size, stride or size

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or min(shape[:2]) < self.size:
            raise UserError(
                f"{type(self).__name__}({self.size}) {self.name!r} was given {shape} per sample: it needs images of at "
                f"least {self.size}×{self.size}. Use larger images."
            )
        return (*(out_size(side, self.size, self.stride, 0) for side in shape[:2]), shape[2])

    def _pixels(self, x: Array) -> list[Array]:
        """For each place in the window, the pixels that stand there in all windows: views of x, (N, P, Q, C) each."""
        return window_pixels(x, self.size, self.stride)


class MaxPool(_Windows):
    """The largest number of each window; the error goes to where it stood, the first place where several are equal.

    Keeps that place, one byte a window (windows of up to 15×15 pixels), and the shape of x; not x.
    """

    def forward(self, x: Array, run: Run, p: Arrays | None = None) -> tuple[Array, Any]:
        y, place = max_pool(x, self.size, self.stride)
        return y, (place, x.shape)

    def backward(
        self, dy: Array, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        place, shape = cache
        return max_pool_backward(dy, place, shape, self.size, self.stride), {}


class AveragePool(_Windows):
    """The mean of each window;   dx = dy / k², spread over the window. Keeps the shape of x only."""

    def forward(self, x: Array, run: Run, p: Arrays | None = None) -> tuple[Array, Any]:
        pixels = self._pixels(x)
        y = pixels[0].copy()
        for pixel in pixels[1:]:
            y += pixel
        y *= 1 / len(pixels)
        return y, x.shape

    def backward(
        self, dy: Array, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        dx, share = namespace(dy).zeros(cache, dy.dtype), dy * (1 / self.size**2)
        for pixel in self._pixels(dx):
            pixel += share
        return dx, {}


class GlobalAveragePool(Layer):
    """The mean of each channel over the map: y = mean_{hw} x (N, 1, 1, C);   dx = dy / (H W). Keeps the shape of x."""

    def forward(self, x: Array, run: Run, p: Arrays | None = None) -> tuple[Array, Any]:
        return x.mean(axis=(1, 2), keepdims=True), x.shape

    def backward(
        self, dy: Array, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        xp, (_, H, W, _) = namespace(dy), cache
        return xp.ascontiguousarray(xp.broadcast_to(dy * (1 / (H * W)), cache)), {}

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise UserError(f"GlobalAveragePool was given {shape} per sample: it takes images (H, W, C).")
        return 1, 1, shape[2]


class AdaptiveAveragePool(Layer):
    """The map cut into o×o bins, and the mean of each; bin i covers rows ⌊iH/o⌋ to ⌈(i+1)H/o⌉ - 1, so bins may overlap.

    y[a, b] = mean of bin (a, b);   dx = Σ over the bins that hold the pixel of dy / bin size.  Keeps the shape of x.
    """

    def __init__(self, bins: int, *, name: str = "") -> None:
        super().__init__(name)
        self.bins = bins

    def forward(self, x: Array, run: Run, p: Arrays | None = None) -> tuple[Array, Any]:
        y = namespace(x).empty((x.shape[0], self.bins, self.bins, x.shape[3]), x.dtype)
        for a, b, rows, columns in self._places(x.shape):
            y[:, a, b] = x[:, rows, columns].mean(axis=(1, 2))
        return y, x.shape

    def backward(
        self, dy: Array, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights":
            return None, {}
        dx = namespace(dy).zeros(cache, dy.dtype)
        for a, b, rows, columns in self._places(cache):
            share = 1 / ((rows.stop - rows.start) * (columns.stop - columns.start))
            dx[:, rows, columns] += dy[:, a : a + 1, b : b + 1] * share
        return dx, {}

    def _places(self, shape: Shape) -> list[tuple[int, int, slice, slice]]:
        o, (_, H, W, _) = self.bins, shape
        rows = [slice(i * H // o, -(-(i + 1) * H // o)) for i in range(o)]
        columns = [slice(i * W // o, -(-(i + 1) * W // o)) for i in range(o)]
        return [(a, b, r, c) for a, r in enumerate(rows) for b, c in enumerate(columns)]

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            raise UserError(f"AdaptiveAveragePool was given {shape} per sample: it takes images (H, W, C).")
        return self.bins, self.bins, shape[2]
