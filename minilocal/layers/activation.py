"""ReLU."""

from __future__ import annotations

from minilocal.array import Array
from minilocal.layers.base import Arrays, Layer, Need, PassContext
from minilocal.ops.relu import relu, relu_backward


class ReLU(Layer[Array]):
    """a = max(y, 0);   dy = da where a > 0, else 0.

    Keeps its output, not a mask: the layer above keeps the same array as its input, so it takes no memory.
    """

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Array]:
        a = relu(x)
        return a, a

    def backward(
        self, dy: Array, cache: Array, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        return None if need == "weights" else relu_backward(dy, cache), {}
