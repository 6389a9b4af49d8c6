"""What is under way between two iterations of a rule with delays: batches, and what is held of them where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from minilocal.array import Array
from minilocal.engine.module import Caches
from minilocal.layers import PassContext
from minilocal.objectives import Batch


@dataclass(frozen=True)
class InFlightBatch:
    """A batch under way: its number, its images and labels, and the names of its chance."""

    number: int
    batch: Batch
    ctx: PassContext


class Message(NamedTuple):
    """What crosses a boundary, and the batch that it is of: an activation upward, an error downward."""

    flight: InFlightBatch
    array: Array


@dataclass
class PendingBackward:
    """A batch that a module has forwarded, and whose error it awaits.

    `entry` is the module's input; without `caches` they are made again from it. `weights` are the module's
    parameters as that forward used them, where they are stashed.
    """

    flight: InFlightBatch
    entry: Array
    caches: Caches | None = None
    weights: dict[str, Array] | None = None


def tree_leaves(nested: Any, apart: Array) -> list[Array]:
    """The distinct arrays in nested tuples, lists and dicts, in order, but for `apart` itself."""
    seen: dict[int, Array] = {}
    for a in _walk(nested):
        if a is not apart:
            seen.setdefault(id(a), a)
    return list(seen.values())


def tree_replace(nested: Any, old: list[Array], new: list[Array]) -> Any:
    """The same nest with each array of `old` replaced by the one of `new` that stands at its place."""
    instead = {id(a): b for a, b in zip(old, new, strict=True)}

    def plant(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: plant(value) for key, value in part.items()}
        if isinstance(part, tuple) and hasattr(part, "_fields"):
            return type(part)(*map(plant, part))
        if isinstance(part, (tuple, list)):
            return type(part)(map(plant, part))
        return instead.get(id(part), part)

    return plant(nested)


def _walk(nested: Any) -> Iterator[Array]:
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, (tuple, list)):
        for part in nested:
            yield from _walk(part)
    elif hasattr(nested, "dtype"):
        yield nested
