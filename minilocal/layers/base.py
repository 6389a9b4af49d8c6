"""What every layer is: a pure function of its parameters, its input and a key.

    y, cache     = layer.forward(x, run, p)
    dx, gradient = layer.backward(dy, cache, p, need)

`p` maps full names ("layer1.0.conv1.weight") to arrays and defaults to the layer's own. A cache belongs to one batch
and never holds weights; a backward only reads it, so it may be called twice on one cache (BackLink sends two errors
through the same units), and several caches may wait. No layer writes into x, dy, cache or p. A forward updates
nothing: what batch norm has seen lies in its cache until `commit` is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import numpy as np

from minilocal.array import Array
from minilocal.errors import UserError
from minilocal.streams import StreamKey, stream_key

Arrays = Mapping[str, Array]
Shape = tuple[int, ...]
Need = Literal["both", "input", "weights"]


@dataclass(frozen=True)
class PassContext:
    """What a forward pass is told besides its input: whether it trains, and the name of its chance."""

    training: bool = True
    key: int = 0
    epoch: int = 0
    step: int = 0
    unit: int = 0
    part: int = 0  # which micro-batch of the step
    clock: Array | None = field(default=None, compare=False)  # (epoch, step), int64, where the network lives

    def at(self, unit: int) -> PassContext:
        """The same run, inside another unit."""
        return replace(self, unit=unit)

    def rng_key(self, purpose: str) -> StreamKey:
        """What chance for `purpose` is named by at this place and time; the same however often it is asked for."""
        return stream_key(
            self.key, f"{purpose} {self.part}" if self.part else purpose, self.epoch, self.step, self.unit
        )

    def rng(self, purpose: str) -> np.random.Generator:
        """The host stream of that name."""
        return self.rng_key(purpose).stream()


class Layer:
    """The protocol, with the defaults of a layer that has no parameters and nothing to commit."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.parameters: dict[str, Array] = {}
        self.buffers: dict[str, Array] = {}

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        """(y, cache)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward(x, run, p) that returns (y, cache)")

    def backward(
        self, dy: Array, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        """(dx, {name: gradient}); dx is None with need="weights", and nothing is named with need="input"."""
        name = type(self).__name__
        raise NotImplementedError(f"{name} has no backward(dy, cache, p, need) that returns (dx, gradients)")

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        """Moves what this batch has shown into the running statistics. Once per batch, by `Learner.step`."""

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
        """Parameters and running statistics by name: what `p` is when it is not given."""
        return {**self.parameters, **self.buffers}

    def _full(self, local: str) -> str:
        return f"{self.name}.{local}" if self.name else local

    def _get(self, p: Arrays | None, local: str) -> Array:
        name = self._full(local)
        if p is not None:
            return p[name]
        return self.parameters[name] if name in self.parameters else self.buffers[name]


def apart(owners: Iterable[tuple[str, Arrays]]) -> None:
    """Holds that no two owners of arrays use one name. Each is (what it is called, its arrays).

    Raises: UserError where they do: the engine knows an array by its name, and would make one of two.
    """
    whose: dict[str, str] = {}
    for owner, arrays in owners:
        for name in arrays:
            if name in whose:
                both = f"two layers {owner}" if owner == whose[name] else f"{whose[name]} and {owner}"
                raise UserError(f"{both} have an array {name!r}: give each a name of its own.")
            whose[name] = owner
