"""Dropout."""

from __future__ import annotations

from minilocal.array import Array
from minilocal.errors import fraction
from minilocal.layers.base import Arrays, Layer, Need, PassContext
from minilocal.ops.dropout import dropout_mask


class Dropout(Layer[Array | None]):
    """Each number is dropped with probability `rate`, the others grow by 1/(1 - rate): y = m x, dx = m dy.

    Keeps m. The mask is drawn from the stream named by (key, this layer, epoch, step, unit), so a recomputed forward
    and a copy of the unit get the same mask. In evaluation y = x, and nothing is kept. x may have any shape.

    Raises: UserError for a rate outside [0, 1).
    """

    def __init__(self, rate: float, *, name: str = "") -> None:
        super().__init__(name)
        self.rate = fraction(f"Dropout {name!r}: rate", rate, "[)")

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Array | None]:
        if not ctx.training or self.rate == 0:
            return x, None
        mask = dropout_mask(x, self.rate, ctx.rng_key(f"dropout {self.name}"), ctx.clock)
        return x * mask, mask

    def backward(
        self, dy: Array, cache: Array | None, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        return None if need == "weights" else dy if cache is None else dy * cache, {}
