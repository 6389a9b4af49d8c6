"""Maps as vectors."""

from __future__ import annotations

from math import prod

from minilocal.array import Array, namespace
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape


class Flatten(Layer[Shape | None]):
    """An image (N, H, W, C) as N vectors in PyTorch's order (C, H, W); a vector stays as it is.

    The order costs a copy of a small map. With it, every weight converts to PyTorch by a transpose of its own array.
    Keeps the shape of x.
    """

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Shape | None]:
        if x.ndim == 2:
            return x, None
        return namespace(x).ascontiguousarray(x.transpose(0, 3, 1, 2)).reshape(x.shape[0], -1), x.shape

    def backward(
        self, dy: Array, cache: Shape | None, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights" or cache is None:
            return None if need == "weights" else dy, {}
        N, H, W, C = cache
        return namespace(dy).ascontiguousarray(dy.reshape(N, C, H, W).transpose(0, 2, 3, 1)), {}

    def out_shape(self, shape: Shape) -> Shape:
        return (prod(shape),)
