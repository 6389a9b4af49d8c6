"""The error of two heads, in two parts: one ends in its module, the other leaves it.

A backward is linear in its error, and what leaves the module must hold nothing of the first part. So each takes a
backward of its own, and the gradients of a unit are added. `error_slot` holds both, the one that leaves first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from minilocal import ops
from minilocal.array import Array
from minilocal.engine.module import Caches, Module
from minilocal.layers import PassContext
from minilocal.layers.base import Need
from minilocal.objectives import Batch

ErrorSlot = list[Array | None]  # popping from it hands over the last reference to an error
OnUnit = Callable[[int, dict[str, Array]], None]


@dataclass
class LeavingPart:
    """Two heads whose backward returns the error that leaves, and keeps the other in `stays`."""

    heads: Any
    stays: Array | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.heads, name)

    def backward(self, cache: Any, p: Any = None, need: Need = "both") -> tuple[Array | None, dict[str, Array]]:
        """(the error that leaves, the gradients of both heads)."""
        self.stays, leaves, grads = self.heads.backward_divided(cache, p, need)
        return leaves, grads


def local_errors(
    module: Module,
    h: Array,
    batch: Batch,
    ctx: PassContext,
    p: Mapping[str, Array],
    update_stats: bool,
    need: Need,
    divide: bool,
) -> tuple[Array, ErrorSlot, dict[str, Array]]:
    """`Module.local_loss` with its error in a slot; with `divide` the error that leaves and the one that stays.

    The slot is empty where there is no error.
    """
    part = LeavingPart(module.objective)
    loss, error, grads = (replace(module, objective=part) if divide else module).local_loss(
        h, batch, ctx, p, update_stats, need
    )
    return loss, [e for e in (error, part.stays) if e is not None], grads


def backward_staying(
    module: Module, error_slot: ErrorSlot, caches: Caches, p: Mapping[str, Array], on_unit: OnUnit
) -> OnUnit:
    """Backpropagate the error that stays, where the slot has a second one.

    Returns what the other error's gradients go to: `on_unit`, or what adds both and goes on to it.
    """
    if len(error_slot) == 1:
        return on_unit
    staying: dict[int, dict[str, Array]] = {}
    module.backward(error_slot.pop(), dict(caches), p, False, staying.__setitem__)

    def on_both(u: int, grads: dict[str, Array]) -> None:
        first = staying.pop(u)
        ops.mix([(g, grads.pop(name)) for name, g in first.items()], 1.0, 1.0)
        on_unit(u, first)

    return on_both
