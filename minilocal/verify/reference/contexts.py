"""The reference of contexts: what is encoded and added to the input of a module, and from what.

    h'_k = h_k + Σ E(source),        source = x, or h'_{k-1};   h'_0 = x

Of a unit with contexts a reference reads the encoders and the names of their sources.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from minilocal.layers import Layer, PassContext, WithContext
from minilocal.verify.jax_cpu import jax, lax
from minilocal.verify.reference.layers import Parameters, arrays_of, reference


class Sources(NamedTuple):
    """What the contexts of a module encode: the images, and the input of the module below."""

    image: Any
    below: Any


def enriched(unit: Layer, h: Any, sources: Sources | None, p: Parameters, ctx: PassContext) -> Any:
    """h' at the entrance of this unit; h itself where it has no contexts."""
    if not isinstance(unit, WithContext):
        return h
    assert sources is not None
    for context in unit.contexts:
        source = sources.image if context.source == "image" else sources.below
        h = h + _encode(context.encoder, ctx)(arrays_of(context.encoder, p), source)
    return h


def plain(unit: Layer) -> Layer:
    """The unit without its contexts."""
    return unit.unit if isinstance(unit, WithContext) else unit


def constant_sources(modules: Sequence[Any], x: Any, p: Parameters, ctx: PassContext) -> list[Sources]:
    """The sources of each module as constants, by a forward of the whole network."""
    h, collected = x, [Sources(x, None)]
    for module in modules:
        input = enriched(module.units[0], h, collected[-1], p, ctx.at(module.first))
        collected.append(Sources(x, lax.stop_gradient(input)))
        h = input
        for u, unit in enumerate(module.units, module.first):
            h = _encode(plain(unit), ctx.at(u))(arrays_of(plain(unit), p), h)
    return collected


@lru_cache(maxsize=256)
def _encode(layer: Layer, ctx: PassContext) -> Any:
    """A layer's reference, compiled once."""
    return jax.jit(lambda p, x: reference(layer, x, p, ctx))
