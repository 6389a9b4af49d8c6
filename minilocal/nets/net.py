"""A network is a list of units and a head; a module is a slice of that list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from minilocal.array import Array
from minilocal.errors import UserError, call_it, whole
from minilocal.layers import Layer, Sequential
from minilocal.layers.base import Shape, check_distinct_names
from minilocal.layers.initial import Initializer

Size = int | tuple[int, int]  # the side of a square image, or (height, width)


@dataclass(frozen=True, repr=False)
class Net:
    """Units, bottom to top, as the papers count them, and the head after the last one.

    `shape` is one input (H, W, C); `shapes[u]` is the output of unit u, (H, W, C) or (F,). `initial` also initialises
    auxiliary networks. The arrays are float32 on the host; a Learner copies them.

    Raises: UserError where the layers do not fit each other or the images, two of them have an array of one name, or
    fewer than two classes are asked for.
    """

    name: str
    units: list[Layer]
    head: Sequential
    classes: int
    shape: Shape
    initial: Initializer
    shapes: list[Shape] = field(init=False)
    recipe: dict[str, Any] | None = field(
        default=None, init=False, compare=False
    )  # of a network that the package built

    def __post_init__(self) -> None:
        if whole(f"{self.name}: classes", self.classes) < 2:
            raise UserError(f"{self.name} was asked for {self.classes} classes: a classifier needs 2 or more.")
        for u, layer in enumerate((*self.units, self.head), 1):
            if not isinstance(layer, Layer):
                raise UserError(f"{self.name}: unit {u} is {layer!r}, not a minilocal.layers.Layer{call_it(layer)}.")
        named = [f"unit {u} ({unit.name})" for u, unit in enumerate(self.units, 1)]
        arrays = [layer.arrays for layer in (*self.units, self.head)]
        check_distinct_names(zip([*named, "the head"], arrays, strict=True))
        shapes, shape = [], self.shape
        for unit in self.units:
            shape = unit.out_shape(shape)
            shapes.append(shape)
        if self.head.out_shape(shape) != (self.classes,):
            raise UserError(
                f"{self.name}: its head ends with {self.head.out_shape(shape)}, not {self.classes} classes."
            )
        object.__setattr__(self, "shapes", shapes)

    @property
    def widest(self) -> int:
        """The most channels of any unit's map."""
        return max((s[2] for s in self.shapes if len(s) == 3), default=0)

    @property
    def macs(self) -> int:
        """The multiply-adds of a forward pass of one image, in convolutions and linear layers.

        A training step of BP takes three times as many, and twice that in floating point operations.
        """
        inputs = [self.shape, *self.shapes]
        return sum(layer.macs(shape) for layer, shape in zip((*self.units, self.head), inputs, strict=True))

    def parameters(self) -> dict[str, Array]:
        """{name: array} of everything that learns, bottom to top, as it is initially: a Learner trains copies."""
        return {name: a for layer in (*self.units, self.head) for name, a in layer.parameters.items()}

    def summary(self) -> str:
        """A table of the units: output shapes, parameters, multiply-adds. It shows itself in a notebook."""
        from minilocal.nets.summary import summary

        return summary(self)

    def __repr__(self) -> str:
        image = "×".join(map(str, self.shape))
        size = count(self.parameters())
        return (
            f"<Net {self.name}: {len(self.units)} units, images {image}, {self.classes} classes, {size:,} parameters>"
        )

    def buffers(self) -> dict[str, Array]:
        """{name: array} of the running statistics."""
        return {name: a for layer in (*self.units, self.head) for name, a in layer.buffers.items()}


def image(net: str, size: Size, channels: object) -> Shape:
    """The shape of one image, of a side or of (height, width).

    Raises: UserError for sides or channels that are no whole number, 1 or more.
    """
    sides = [size, size] if not isinstance(size, (tuple, list)) else list(size)
    if len(sides) != 2:
        raise UserError(f"{net}: size = {size!r}: give a side, as 32, or a height and a width, as (24, 32).")
    height, width = (whole(f"{net}: size", side) for side in sides)
    return height, width, whole(f"{net}: channels", channels)


def count(arrays: Sequence[Array] | dict[str, Array]) -> int:
    """The number of elements of these arrays."""
    return sum(a.size for a in (arrays.values() if isinstance(arrays, dict) else arrays))
