"""A unit whose input is enriched by contexts: encodings of the image, or of the input of the module below.

Yu, Zhang, Ma, Wang and Li, "Go beyond End-to-End Training: Boosting Greedy Local Learning with Context Supply", 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from minilocal.array import Array
from minilocal.errors import UserError
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape
from minilocal.layers.module_input import ModuleInput, ModuleInputs, inputs_of
from minilocal.layers.sequential import Composite

Source = Literal["image", "below"]


class Context(NamedTuple):
    """An encoder, the source that it encodes, and the shape of that source for one image."""

    encoder: Layer
    source: Source
    shape: Shape


class ContextCache(NamedTuple):
    """The caches of the unit and of each encoder, and the module inputs that errors are handed through."""

    unit: Any
    encoders: list[Any]
    below: ModuleInput | None
    own: ModuleInput | None


class WithContext(Composite[ContextCache]):
    """y = f(h'),   h' = h + Σ E(source):   the first unit of a module, and the encoders E that belong to it.

        dh' = the error that f sends down, and that of the contexts above that encode h'         (1)
        dh  = dh';   each E learns from dh'                                                      (2)

    The sources are the image, the input of the network, and h' of the module below. They are constants,
    and (1) is f's error alone, but where errors pass through whole modules: `ModuleInput.passes` says it. With
    `is_encoded`, h' is left in the pass's `inputs` for the contexts of the module above.

    Keeps what f and the encoders keep. Its output and its input are those of f.

    Raises: UserError as `Composite`; `forward` where `ctx` has no such source, as outside of a module.
    """

    def __init__(self, unit: Layer, contexts: Sequence[Context], *, is_encoded: bool = False) -> None:
        super().__init__([unit, *(context.encoder for context in contexts)], unit.name)
        self.unit, self.contexts, self.is_encoded = unit, list(contexts), is_encoded

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, ContextCache]:
        """(y, cache). Raises: UserError where `ctx` has no such source, as outside of a module."""
        inputs, enriched, caches = inputs_of(ctx), x, []
        for context in self.contexts:
            encoded, cache = context.encoder.forward(self._source(context, inputs), ctx, p)
            caches.append(cache)
            if enriched is x:
                enriched = x + encoded
            else:
                enriched += encoded
        if self.is_encoded and inputs.own is not None:
            inputs.own.value = enriched
        y, inner = self.unit.forward(enriched, ctx, p)
        return y, ContextCache(inner, caches, inputs.below, inputs.own)

    def backward(
        self, dy: Array, cache: ContextCache, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        error, grads = self.unit.backward(dy, cache.unit, p, "input" if need == "input" else "both")
        assert error is not None
        if cache.own is not None and (from_above := cache.own.take_error()) is not None:
            error = error + from_above  # (1)
        for context, encoder_cache in zip(self.contexts, cache.encoders, strict=True):
            below = cache.below if context.source == "below" else None
            passes = below is not None and below.passes and need != "weights"
            if need == "input" and not passes:
                continue
            encoder_need: Need = need if passes else "weights"
            down, encoder_grads = context.encoder.backward(error, encoder_cache, p, encoder_need)  # (2)
            grads |= encoder_grads
            if passes and below is not None and down is not None:
                below.add_error(down)
        return None if need == "weights" else error, grads

    def update_running_stats(self, cache: ContextCache, p: Arrays | None = None) -> None:
        self.unit.update_running_stats(cache.unit, p)
        for context, encoder_cache in zip(self.contexts, cache.encoders, strict=True):
            context.encoder.update_running_stats(encoder_cache, p)

    def out_shape(self, shape: Shape) -> Shape:
        return self.unit.out_shape(shape)

    def macs(self, shape: Shape) -> int:
        return self.unit.macs(shape) + sum(c.encoder.macs(c.shape) for c in self.contexts)

    def _source(self, context: Context, inputs: ModuleInputs) -> Array:
        below = None if inputs.below is None else inputs.below.value
        source = inputs.image if context.source == "image" else below
        if source is None:
            raise UserError(
                f"unit {self.name!r} has a context of the {context.source}, and none was given: run it inside its "
                "module."
            )
        return source


def standing_alone(layer: Layer, ctx: PassContext, make: Callable[[Shape], Array]) -> PassContext:
    """The context of a pass through one unit by itself: the sources of its contexts are made by `make(shape)`."""
    if not isinstance(layer, WithContext):
        return ctx
    sources = {context.source: make(context.shape) for context in layer.contexts}
    return replace(ctx, inputs=ModuleInputs(sources.get("image"), ModuleInput(sources.get("below")), ModuleInput()))


def encoded_bytes(layer: Layer, nbytes: int) -> int:
    """`nbytes` of a module's input, where a context above encodes it and its first unit is `layer`; else 0."""
    return nbytes if isinstance(layer, WithContext) and layer.is_encoded else 0


def sources_of(layer: Layer) -> list[Source]:
    """The sources that the contexts of a unit encode; none for a unit without contexts."""
    return [context.source for context in layer.contexts] if isinstance(layer, WithContext) else []
