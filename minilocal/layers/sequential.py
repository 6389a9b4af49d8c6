"""Layers in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.array import Array
from minilocal.layers.base import Arrays, Cache, Layer, Need, PassContext, Shape, check_distinct_names, layers_of
from minilocal.layers.conv import Conv
from minilocal.layers.conv_norm import conv_norm
from minilocal.layers.norm import BatchNorm


class Composite(Layer[Cache]):
    """A layer made of layers, with all their parameters and running statistics.

    Raises: UserError for anything but layers, and where two of them have an array of one name.
    """

    def __init__(self, children: Sequence[Layer], name: str = "") -> None:
        super().__init__(name)
        self._children = layers_of(children, f"{type(self).__name__} {name!r}")
        check_distinct_names([(child.name or type(child).__name__, child.arrays) for child in self._children])
        for child in self._children:
            self.parameters |= child.parameters
            self.buffers |= child.buffers

    def children(self) -> list[Layer]:
        return self._children


class Sequential(Composite[list[Any]]):
    """Layers in a row: y = f_n(... f_1(x)), and their backwards in reverse. Keeps the cache of each."""

    def __init__(self, layers: Sequence[Layer], name: str = "") -> None:
        super().__init__(layers, name)
        self.layers = self.children()

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, list[Any]]:
        caches: list[Any] = []
        pairs = zip(self.layers, [*self.layers, None][1:], strict=True)
        for layer, above in pairs:
            if isinstance(layer, Conv) and isinstance(above, BatchNorm):
                x, *both = conv_norm(layer, above, x, ctx, p)
                caches += both
                next(pairs)
            else:
                x, cache = layer.forward(x, ctx, p)
                caches.append(cache)
        return x, caches

    def backward(
        self, dy: Array, cache: list[Any], p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        grads: dict[str, Array] = {}
        error: Array | None = dy
        lowest = self._lowest() if need == "weights" else -1
        for number in range(len(self.layers) - 1, -1, -1):
            if number < lowest:
                return None, grads  # nothing below has a parameter
            assert error is not None
            layer_need: Need = "weights" if number == lowest else "input" if need == "input" else "both"
            error, layer_grads = self.layers[number].backward(error, cache[number], p, layer_need)
            grads |= layer_grads
        return error, grads

    def _lowest(self) -> int:
        """The lowest layer with parameters: below it no gradient needs an error."""
        return next((i for i, layer in enumerate(self.layers) if layer.parameters), len(self.layers))

    def update_running_stats(self, cache: list[Any], p: Arrays | None = None) -> None:
        for layer, layer_cache in zip(self.layers, cache, strict=True):
            layer.update_running_stats(layer_cache, p)

    def out_shape(self, shape: Shape) -> Shape:
        for layer in self.layers:
            shape = layer.out_shape(shape)
        return shape

    def macs(self, shape: Shape) -> int:
        total = 0
        for layer in self.layers:
            total += layer.macs(shape)
            shape = layer.out_shape(shape)
        return total
