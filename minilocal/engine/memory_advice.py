"""Advice after an out-of-memory error: what the rule keeps for a batch, and what would keep less.

Estimated from one image. Backpropagation keeps the caches of all units. A local rule keeps those of its largest module,
and of the unit below it, which may be linked.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from types import TracebackType

from minilocal.array import Array
from minilocal.engine.around import Engine
from minilocal.engine.module import Module
from minilocal.engine.out_of_memory import OutOfMemory, gigabytes, out_of_memory
from minilocal.layers import PassContext
from minilocal.layers.module_input import entering
from minilocal.split import split
from minilocal.tree import tree_leaves

MOST = 16  # modules that are suggested


class advising:
    """`with advising(engine, images, epoch):` adds the engine's advice to an OutOfMemory raised inside.

    A MemoryError that has no name yet came from an update. The arrays of the failed step are freed first.

    Raises: OutOfMemory.
    """

    def __init__(self, engine: Engine, images: Array, epoch: int) -> None:
        self.engine, self.images, self.epoch = engine, images, epoch

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, (MemoryError, OutOfMemory)):
            message = error if isinstance(error, OutOfMemory) else out_of_memory(error, "update")
            traceback.clear_frames(trace)
            raise OutOfMemory(f"{message} {self.engine.memory_advice(self.images, self.epoch)}".strip()) from None


def memory_advice(modules: Sequence[Module], images: Array, p: Mapping[str, Array], passes_on: bool) -> str:
    """A sentence: about how many bytes are kept for these images, and which rule or K would keep less.

    `passes_on` is backpropagation's: errors pass through all modules. Nothing where nothing would keep less.
    """
    try:
        sizes = _caches(modules, images[:1], p)
    except MemoryError:  # not even for one image
        return ""
    each = [n * len(images) for n in sizes]
    now = sum(each) if passes_on else _largest(each, [len(m.units) for m in modules])
    K = min(MOST if passes_on else 2 * len(modules), len(each))
    then = _largest(each, [len(part) for part in split(each, K)])
    if then >= now:
        return ""
    if passes_on:
        return (
            f"Backpropagation keeps about {gigabytes(now)} for these images; BackLink over {K} modules about "
            f'{gigabytes(then)}, and BP with keep="inputs" over as many modules about as little.'
        )
    return f"{len(modules)} modules keep about {gigabytes(now)} for these images; {K} modules about {gigabytes(then)}."


def _caches(modules: Sequence[Module], h: Array, p: Mapping[str, Array]) -> list[int]:
    """Bytes that each unit's cache and output add to those of the units below, for the images h alone."""
    sizes, ctx = [], PassContext()
    for module in modules:
        ctx = entering(ctx, h, module.first)
        for u, unit in enumerate(module.units, module.first):
            y, cache = unit.forward(h, ctx.at(u), p)
            sizes.append(sum(a.nbytes for a in tree_leaves((cache, y), h) if a.shape[:1] == h.shape[:1]))
            h = y
    return sizes


def _largest(each: Sequence[int], units: Sequence[int]) -> int:
    """The bytes that the largest module keeps, of modules of these `units`, with the top unit of the one below it."""
    tops = [sum(units[:k]) for k in range(len(units))]
    return max(sum(each[max(0, first - 1) : first + n]) for first, n in zip(tops, units, strict=True))
