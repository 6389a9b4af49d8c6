"""The arrays of a nested cache: its leaves, and the same nest with other leaves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minilocal.array import Array


def tree_leaves(nested: Any, excluded: Array | None = None) -> list[Array]:
    """The distinct arrays in nested tuples, lists and dicts, in order, without `excluded` itself."""
    leaves: dict[int, Array] = {}
    for a in _every_leaf(nested):
        if a is not excluded:
            leaves.setdefault(id(a), a)
    return list(leaves.values())


def tree_replace(nested: Any, old: list[Array], new: list[Array]) -> Any:
    """A copy of the nest in which `new[i]` stands in place of `old[i]`."""
    replacement = {id(a): b for a, b in zip(old, new, strict=True)}

    def copy(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: copy(value) for key, value in part.items()}
        if isinstance(part, tuple) and hasattr(part, "_fields"):
            return type(part)(*map(copy, part))
        if isinstance(part, (tuple, list)):
            return type(part)(map(copy, part))
        return replacement.get(id(part), part)

    return copy(nested)


def _every_leaf(nested: Any) -> Iterator[Array]:
    """The arrays of the nest in order, repeated where they repeat."""
    if isinstance(nested, dict):
        nested = list(nested.values())
    if isinstance(nested, (tuple, list)):
        for part in nested:
            yield from _every_leaf(part)
    elif hasattr(nested, "dtype"):
        yield nested
