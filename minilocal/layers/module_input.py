"""What a module is given besides h: the images, the input of the module below, and the place of its own input."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from minilocal.array import Array
from minilocal.layers.base import PassContext


class ModuleInput:
    """The input of a module, its own contexts added, as the contexts of the module above encode it.

    With `passes`, errors of these contexts go on: they wait here until the module's backward takes them.
    """

    def __init__(self, value: Array | None = None, passes: bool = False) -> None:
        self.value, self.passes = value, passes
        self._errors: list[Array] = []

    def add_error(self, error: Array) -> None:
        """Add the error of a context above."""
        self._errors.append(error)

    def take_error(self) -> Array | None:
        """The sum of these errors, once; None where there are none."""
        if not self._errors:
            return None
        first, *others = self._errors
        self._errors.clear()
        return sum(others, first)

    def replaced(self, value: Array | None) -> ModuleInput:
        """Another value in its place, for one context alone; errors go where they went."""
        other = ModuleInput(value, self.passes)
        other._errors = self._errors
        return other


class ModuleInputs(NamedTuple):
    """`PassContext.inputs` of a module's passes; `own` is filled by the module itself."""

    image: Array | None
    below: ModuleInput | None
    own: ModuleInput | None


NO_INPUTS = ModuleInputs(None, None, None)


def inputs_of(ctx: PassContext) -> ModuleInputs:
    """What this context gives besides h."""
    inputs = ctx.inputs
    return inputs if isinstance(inputs, ModuleInputs) else NO_INPUTS


def entering(ctx: PassContext, h: Array, first: int, passes: bool = False) -> PassContext:
    """The context of the passes of the module that begins with unit `first`, from that of the module below.

    h is its input without its contexts; the lowest module's is the image. With `passes`, errors of contexts go on into
    the modules below.
    """
    if first == 0:
        return replace(ctx, inputs=ModuleInputs(h, None, ModuleInput(h)))
    below = inputs_of(ctx)
    return replace(ctx, inputs=ModuleInputs(below.image, below.own, ModuleInput(passes=passes)))
