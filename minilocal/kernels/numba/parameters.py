"""The arrays of all parameters of an update, in pieces: a network has a hundred small ones and a few large ones.

One call of a compiled function moves a piece. Threads share the pieces of all parameters, not those of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numpy import ndarray as Array

from minilocal.kernels.threads import PARTS, parallel_map, partition

PIECE = 1 << 16  # numbers of a piece, at most
WORTH = 1 << 16  # numbers of all parameters that are worth a thread


def each_piece(move: Callable[..., None], updates: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """move(*arrays, *numbers) of every piece of every update whose arrays are flat in memory and of one type.

    Returns the other updates. An update is (w, other arrays of its shape or None, numbers).
    """
    pieces: list[tuple[Any, ...]] = []
    others = []
    for update in updates:
        w = update[0]
        if not all(a.flags.c_contiguous and a.dtype == w.dtype for a in update if isinstance(a, Array)):
            others.append(update)
        elif w.size <= PIECE:
            pieces.append(tuple(a.reshape(-1) if isinstance(a, Array) else a for a in update))
        else:
            flat = [a.reshape(-1) if isinstance(a, Array) else a for a in update]
            for i, j in partition(w.size, -(-w.size // PIECE)):
                pieces.append(tuple(a[i:j] if isinstance(a, Array) else a for a in flat))
    numbers = sum(piece[0].size for piece in pieces)

    def some(first: int, last: int) -> None:
        for piece in pieces[first:last]:
            move(*piece)

    parallel_map(some, partition(len(pieces), max(1, min(PARTS, numbers // WORTH))))
    return others
