"""Live bytes: what tracked arrays take from the moment they are tracked until they are freed."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from minilocal.array import Array
from minilocal.tree import tree_leaves

Label = TypeVar("Label")


class LiveBytes(Generic[Label]):
    """Bytes of the live tracked arrays by label, in `now`. Memory is counted once, under its first label.

    The arrays in `ignored` are never counted, nor is memory of a single number.
    """

    def __init__(self, labels: Iterable[Label], ignored: Iterable[Array]) -> None:
        self.now = dict.fromkeys(labels, 0)
        self._tracked: dict[int, tuple[Label, int] | None] = {id(owner_of(a)): None for a in ignored}

    def track(self, label: Label, nested: Any) -> None:
        """Count the memory of all arrays in nested tuples, lists and dicts until it is freed."""
        for array in tree_leaves(nested, None):
            owner = owner_of(array)
            if owner.ndim and id(owner) not in self._tracked:
                self._tracked[id(owner)] = label, owner.nbytes
                self.now[label] += owner.nbytes
                weakref.finalize(owner, self._freed, id(owner))

    def relabel(self, label: Label, nbytes: int) -> None:
        """Move everything tracked so far to `label`, and set its count to `nbytes` and all others to 0."""
        self._tracked = {key: entry and (label, entry[1]) for key, entry in self._tracked.items()}
        self.now = dict.fromkeys(self.now, 0) | {label: nbytes}

    def _freed(self, key: int) -> None:
        entry = self._tracked.pop(key)
        if entry is not None:
            label, nbytes = entry
            self.now[label] -= nbytes


def owner_of(array: Array) -> Array:
    """The array that owns the memory of this one: itself, or the base of a view."""
    while hasattr(getattr(array, "base", None), "dtype"):
        array = array.base
    return array
