"""The arrays of a parameter (itself, its gradient, its optimiser's) as flat parts, for a loop over their numbers.

A network has a hundred small parameters, each of which is one call, and a few that are worth all threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minilocal.kernels.threads import PARTS, parallel_map, partition

PART = 1 << 17  # numbers of a part, at least: one core does as much while another wakes up


def fits(*arrays: Any) -> bool:
    """Whether a loop over flat arrays of one type and shape can have them; None is left out.

    Those that cannot be written take the plain code, and its error. (An array out of a pickle has a dtype object of its
    own, equal to the others'.)
    """
    like = arrays[0]
    return all(a is None or (a.flags.carray and a.dtype == like.dtype and a.shape == like.shape) for a in arrays)


def by_parts(move: Callable[..., None], arrays: tuple[Any, ...], *numbers: Any) -> None:
    """move(*arrays, *numbers) of flat arrays, or of their parts."""
    flat = [None if a is None else a.ravel() for a in arrays]
    size = arrays[0].size
    if size < 2 * PART:
        move(*flat, *numbers)
    else:
        parts = partition(size, min(PARTS, size // PART))
        parallel_map(lambda i, j: move(*(None if a is None else a[i:j] for a in flat), *numbers), parts)
