"""What crosses between ranks in evaluation: activations, and the inputs of modules that contexts above encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from minilocal.array import Array
from minilocal.engine.module import Module
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.layers.module_input import ModuleInput, ModuleInputs, inputs_of
from minilocal.parallel.segment import Segment
from minilocal.rules import Rule


def from_below(
    segment: Segment, rule: Rule, modules: Sequence[Module], images: Array, ctx: PassContext, chain: Sequence[Shape]
) -> tuple[Array, PassContext]:
    """(input of the segment's lowest module, context of the module below it); at the bottom the images, and `ctx`.

    `chain` has the shape of the input of every unit.
    """
    if segment.below is None:
        return images, ctx
    first, below = (modules[k].first for k in (segment.own.start, segment.own.start - 1))
    h, own = segment.below.receive((len(images), *chain[first]), images.dtype), ModuleInput(images)
    if rule.context.encodes_below and below > 0:
        own.value = segment.below.receive((len(images), *chain[below]), images.dtype)
    return h, replace(ctx, inputs=ModuleInputs(images, None, own))


def to_above(segment: Segment, rule: Rule, h: Array, ctx: PassContext) -> None:
    """Send the output of the segment's topmost module, and its input where a context above encodes it."""
    if segment.above is None:
        return
    segment.above.send(h)
    if rule.context.encodes_below and segment.own.stop > 1:
        own = inputs_of(ctx).own
        assert own is not None and own.value is not None
        segment.above.send(own.value)
