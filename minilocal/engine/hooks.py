"""Hooks: calls before and after the forward and backward of each unit, objective and synthesiser of a module.

    learner.modules[0].hooks.append(hook)        until     learner.modules[0].hooks.remove(hook)

A hook sees what a part returns, and may return something else in its place. Hooks run before and after a part, not
around it: while a part works, no hook holds its error or its cache, so both can be freed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal, Protocol

from minilocal.array import Array
from minilocal.layers import PassContext
from minilocal.layers.module_input import inputs_of
from minilocal.layers.with_context import Source
from minilocal.objectives import Batch

Part = int | Literal["objective", "synthesiser"]  # of a module; a unit by its number inside it, from 0
Gradients = dict[str, Array]


class Hook:
    """The hook that changes nothing; others override what they need."""

    def before_forward(self, part: Part) -> None:
        """Called before a forward."""

    def replace_batch(self, part: Part, batch: Batch) -> Batch:
        """The batch that an objective or a synthesiser gets."""
        return batch

    def replace_source(self, source: Source, value: Array) -> Array:
        """What the contexts of the module's first unit encode: the image, or the input of the module below."""
        return value

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        """The result that the engine gets: an activation, a loss, or a synthetic error."""
        return out

    def before_backward(self, part: Part) -> None:
        """Called before a backward, and before the gradients of a synthesiser."""

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        """The error that the engine gets. It is None where no error leaves the part."""
        return error


class Hooks(list[Hook]):
    """The hooks of one module, called in order: each gets what the one before it returned."""

    def before_forward(self, part: Part) -> None:
        for hook in self:
            hook.before_forward(part)

    def replace_batch(self, part: Part, batch: Batch) -> Batch:
        for hook in self:
            batch = hook.replace_batch(part, batch)
        return batch

    def replace_inputs(self, ctx: PassContext) -> PassContext:
        """The context in which this module's contexts encode what the hooks put in place of their sources."""
        inputs = inputs_of(ctx)
        for hook in self:
            if inputs.image is not None:
                inputs = inputs._replace(image=hook.replace_source("image", inputs.image))
            if (below := inputs.below) is not None and below.value is not None:
                inputs = inputs._replace(below=below.replaced(hook.replace_source("below", below.value)))
        return replace(ctx, inputs=inputs) if self else ctx

    def after_forward(self, part: Part, out: Array, cache: Any) -> Array:
        for hook in self:
            out = hook.after_forward(part, out, cache)
        return out

    def before_backward(self, part: Part) -> None:
        for hook in self:
            hook.before_backward(part)

    def after_backward(self, part: Part, error: Array | None, grads: Gradients) -> Array | None:
        for hook in self:
            error = hook.after_backward(part, error, grads)
        return error


class Hooked(Protocol):
    """Anything that has hooks: a module."""

    @property
    def hooks(self) -> Hooks: ...


@contextmanager
def hooked(modules: Sequence[Hooked], hooks: Sequence[Hook]) -> Iterator[None]:
    """Register one hook with each module for the length of a `with` block."""
    pairs = list(zip(modules, hooks, strict=True))
    for module, hook in pairs:
        module.hooks.append(hook)
    try:
        yield
    finally:
        for module, hook in pairs:
            module.hooks.remove(hook)


@contextmanager
def unhooked(modules: Sequence[Hooked]) -> Iterator[None]:
    """No hook of these modules is called inside."""
    before = [list(module.hooks) for module in modules]
    for module in modules:
        module.hooks.clear()
    try:
        yield
    finally:
        for module, hooks in zip(modules, before, strict=True):
            module.hooks[:] = hooks
