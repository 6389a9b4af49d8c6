"""Maps made larger or smaller along each side by a matrix: y = A x Bᵀ for every sample and channel.

Both sides are small, so a matrix product is as fast as indexing pixels, and its transpose is the exact adjoint.
"""

from __future__ import annotations

from typing import Any

from minilocal.array import Array, namespace
from minilocal.errors import UserError
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape, whole_sizes
from minilocal.ops.matmul import matmul_axis1


class BySides(Layer[Shape]):
    """y = A x Bᵀ;   dx = Aᵀ dy B.        x (N, H, W, C), y (N, P, Q, C), A (P, H), B (Q, W). Keeps the shape of x.

    A subclass defines what `height` and `width` mean. A map that keeps its size is returned as it is.

    Raises: UserError for sides that are no whole numbers of 1 or more.
    """

    def __init__(self, height: int, width: int, *, name: str = "") -> None:
        super().__init__(name)
        self.height, self.width = whole_sizes(self, height=height, width=width)

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Shape]:
        if self.out_shape(x.shape[1:]) == x.shape[1:]:
            return x, x.shape
        return by_sides(x, *self._matrices(namespace(x), x.shape, x.dtype)), x.shape

    def backward(
        self, dy: Array, cache: Shape, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        if need == "weights" or dy.shape == cache:
            return None if need == "weights" else dy, {}
        A, B = self._matrices(namespace(dy), cache, dy.dtype)
        return by_sides(dy, A.T, B.T), {}

    def out_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            kind = type(self).__name__
            raise UserError(f"{kind} {self.name!r} was given {shape} per sample: it takes images (H, W, C).")
        return self._side(shape[0], self.height), self._side(shape[1], self.width), shape[2]

    def _matrices(self, xp: Any, shape: Shape, dtype: Any) -> tuple[Array, Array]:
        return self._matrix(xp, shape[1], self.height, dtype), self._matrix(xp, shape[2], self.width, dtype)

    def _side(self, side: int, size: int) -> int:
        """P from H and `height`, Q from W and `width`."""
        raise NotImplementedError

    def _matrix(self, xp: Any, side: int, size: int, dtype: Any) -> Array:
        """A from H and `height`, B from W and `width`."""
        raise NotImplementedError


def by_sides(x: Array, A: Array, B: Array) -> Array:
    """A x Bᵀ: rows first where they become fewer, which saves products along the other side."""
    (N, H, W, C), P, Q = x.shape, A.shape[0], B.shape[0]
    if P > H:
        x = matmul_axis1(B, x.reshape(N * H, W, C)).reshape(N, H, Q * C)
        return matmul_axis1(A, x).reshape(N, P, Q, C)
    x = matmul_axis1(A, x.reshape(N, H, W * C)).reshape(N * P, W, C)
    return matmul_axis1(B, x).reshape(N, P, Q, C)


class Resize(BySides):
    """A map of `height`×`width`, bilinear, corners aligned: row r of S reads the place r (H-1)/(S-1).

    x (N, H, W, C)  →  (N, `height`, `width`, C)

        A[r, j] = max(0, 1 - |r (H-1)/(S-1) - j|)

    So a place between two rows is a mean of both, weighted by nearness.
    """

    def _side(self, side: int, size: int) -> int:
        return size

    def _matrix(self, xp: Any, side: int, size: int, dtype: Any) -> Array:
        steps = max(1, size - 1)  # whole numbers, so that a place on a pixel reads that pixel only
        distance = abs(xp.arange(size)[:, None] * (side - 1) - xp.arange(side)[None, :] * steps)
        return (steps - distance).clip(0).astype(dtype) * (1 / steps)


class BlockAverage(BySides):
    """The mean of each block of `height`×`width` pixels; blocks at the far edges may be smaller.

    x (N, H, W, C)  →  (N, ⌈H / height⌉, ⌈W / width⌉, C)

    A[i, j] = 1/size of block i where ⌊j / height⌋ = i, else 0
    """

    def _side(self, side: int, size: int) -> int:
        return -(-side // size)

    def _matrix(self, xp: Any, side: int, size: int, dtype: Any) -> Array:
        blocks = xp.arange(self._side(side, size))[:, None]
        inside = (blocks == xp.arange(side)[None, :] // size).astype(dtype)
        return inside / inside.sum(axis=1, keepdims=True)
