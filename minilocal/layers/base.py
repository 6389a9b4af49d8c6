"""The contract of a layer: a pure function of its parameters, its input and a context.

    y, cache  = layer.forward(x, ctx, p)
    dx, grads = layer.backward(dy, cache, p, need)

`p` maps full names ("layer1.0.conv1.weight") to arrays, by default the layer's own. A cache belongs to one batch and
holds no weights. A backward only reads it: several caches may be pending, and two errors may go through one (BackLink).
No layer writes into x, dy, cache or p. A forward updates nothing: batch norm's statistics lie in its cache until
`update_running_stats` is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any, Generic, Literal

import numpy as np

from minilocal.array import Array
from minilocal.errors import UserError, call_it, whole
from minilocal.streams import StreamKey, stream_key

if TYPE_CHECKING:
    from typing_extensions import TypeVar  # with a default: `Layer` alone is a layer of any cache

    Cache = TypeVar("Cache", default=Any)
else:
    from typing import TypeVar

    Cache = TypeVar("Cache")

Arrays = Mapping[str, Array]
Shape = tuple[int, ...]
Need = Literal["both", "input", "weights"]


@dataclass(frozen=True)
class PassContext:
    """The context of a forward pass: training or evaluation, and the key of its random streams."""

    training: bool = True
    key: int = 0
    epoch: int = 0
    step: int = 0
    unit: int = 0
    part: int = 0  # which micro-batch of the step
    clock: Array | None = field(default=None, compare=False)  # (epoch, step), int64, on the network's device
    inputs: object = field(default=None, compare=False, repr=False)  # what a module is given besides h: module_input.py

    def at(self, unit: int) -> PassContext:
        """The context of another unit."""
        return replace(self, unit=unit)

    def rng_key(self, purpose: str) -> StreamKey:
        """The key of the random stream for `purpose` at this unit, epoch and step."""
        return stream_key(
            self.key, f"{purpose} {self.part}" if self.part else purpose, self.epoch, self.step, self.unit
        )

    def rng(self, purpose: str) -> np.random.Generator:
        """The random stream for `purpose`, on the host. Repeated calls return the same stream."""
        return self.rng_key(purpose).stream()


class Layer(Generic[Cache]):
    """The base of layers, with the defaults of a layer without parameters and running statistics.

    `Cache` is the type of what a forward keeps for the backward, as in `class ReLU(Layer[Array])`.
    """

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.parameters: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Cache]:
        """(y, cache)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x, ctx, p) that returns (y, cache)")

    def backward(
        self, dy: Array, cache: Cache, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        """(dx, {name: gradient}); dx is None with need="weights", the dict is empty with need="input"."""
        name = type(self).__name__
        raise NotImplementedError(f"{name} has no backward(dy, cache, p, need) that returns (dx, gradients)")

    def update_running_stats(self, cache: Cache, p: Arrays | None = None) -> None:
        """Update the running statistics from the statistics in the cache: once per batch, by `Learner.step`."""

    def out_shape(self, shape: Shape) -> Shape:
        """The shape of one output, (H, W, C) or (F,), from the shape of one input.

        Raises: UserError where the layer cannot take such an input.
        """
        return shape

    def children(self) -> list[Layer]:
        """The layers that this one is made of, in order. Most have none."""
        return []

    def macs(self, shape: Shape) -> int:
        """The multiply-adds of a forward pass of one input of this shape: each weight is used once per output pixel."""
        weights = sum(w.size for w in self.parameters.values() if w.ndim > 1)
        return weights * prod(self.out_shape(shape)[:-1])

    def __repr__(self) -> str:
        size = sum(a.size for a in self.parameters.values())
        inside = [repr(self.name)] * bool(self.name) + [f"{size:,} parameters"] * bool(size)
        return f"{type(self).__name__}({', '.join(inside)})"

    @property
    def arrays(self) -> dict[str, Array]:
        """Parameters and running statistics by name: the default of `p`."""
        return {**self.parameters, **self.buffers}

    def _full(self, local: str) -> str:
        return f"{self.name}.{local}" if self.name else local

    def _get(self, p: Arrays | None, local: str) -> Array:
        name = self._full(local)
        if p is not None:
            return p[name]
        return self.parameters[name] if name in self.parameters else self.buffers[name]


def check_distinct_names(owners: Iterable[tuple[str, Arrays]]) -> None:
    """Check that no two owners of arrays, each (its name, its arrays), use one array name.

    Raises: UserError where they do: the engine would treat two arrays of one name as one.
    """
    whose: dict[str, str] = {}
    for owner, arrays in owners:
        for name in arrays:
            if name in whose:
                both = f"two layers {owner}" if owner == whose[name] else f"{whose[name]} and {owner}"
                raise UserError(f"{both} have an array {name!r}: give each a name of its own.")
            whose[name] = owner


def whole_sizes(layer: Layer[Any], **sizes: Any) -> list[int]:
    """The sizes of a layer, each a whole number of 1 or more.

    Raises: UserError for anything else, by the name of the size.
    """
    return [whole(f"{type(layer).__name__} {layer.name!r}: {name}", size) for name, size in sizes.items()]


def layers_of(children: Any, what: str) -> list[Layer]:
    """`children` as a list of layers.

    Raises: UserError where it is none, or holds anything else, as a class in place of its instance.
    """
    layers = list(children) if isinstance(children, Iterable) and not isinstance(children, (str, bytes)) else [children]
    if wrong := [layer for layer in layers if not isinstance(layer, Layer)]:
        raise UserError(f"{what} was given {wrong[0]!r}{call_it(wrong[0])}: give a list of layers, [Flatten(), ...].")
    return layers
