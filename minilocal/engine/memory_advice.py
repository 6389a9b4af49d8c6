"""What a rule keeps for a batch, and what would keep less: estimated from one image, when there is no room for many.

Backpropagation keeps the caches of all units; a local rule those of its largest module, and of the unit below it that
may still be linked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilocal.array import Array
from minilocal.engine.module import Module
from minilocal.engine.out_of_memory import gigabytes
from minilocal.layers import PassContext
from minilocal.split import split
from minilocal.tree import tree_leaves

MOST = 16  # modules that are suggested


def memory_advice(modules: Sequence[Module], images: Array, p: Mapping[str, Array], passes_on: bool) -> str:
    """What is kept for so many images, and by how much less another rule (`onward`: all errors cross) or K would do."""
    try:
        sizes = _caches(modules, images[:1], p)
    except MemoryError:  # not even for one image
        return ""
    each = [n * len(images) for n in sizes]
    here = sum(each) if passes_on else _largest(each, [len(m.units) for m in modules])
    K = min(MOST if passes_on else 2 * len(modules), len(each))
    then = _largest(each, [len(part) for part in split(each, K)])
    if then >= here:
        return ""
    if passes_on:
        return (
            f"Backpropagation keeps about {gigabytes(here)} for these images; BackLink over {K} modules about "
            f'{gigabytes(then)}, and BP with keep="inputs" over as many modules about as little.'
        )
    return f"{len(modules)} modules keep about {gigabytes(here)} for these images; {K} modules about {gigabytes(then)}."


def _caches(modules: Sequence[Module], h: Array, p: Mapping[str, Array]) -> list[int]:
    """Bytes that each unit's cache and output add to those below it, for the images h; what is no image's left out."""
    sizes = []
    for module in modules:
        for u, unit in enumerate(module.units):
            y, cache = unit.forward(h, PassContext(unit=module.first + u), p)
            sizes.append(sum(a.nbytes for a in tree_leaves((cache, y), h) if a.shape[:1] == h.shape[:1]))
            h = y
    return sizes


def _largest(each: Sequence[int], units: Sequence[int]) -> int:
    """Of modules of so many units: what the largest keeps, with the top unit of the one below it."""
    tops = [sum(units[:k]) for k in range(len(units))]
    return max(sum(each[max(0, first - 1) : first + n]) for first, n in zip(tops, units, strict=True))
