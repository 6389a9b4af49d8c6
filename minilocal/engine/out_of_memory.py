"""Out of memory, said in one line: where, for which tensor, and what to do."""

from __future__ import annotations

from minilocal.array import Array
from minilocal.errors import UserError


class OutOfMemory(UserError):
    """A device, or the host, has no room for an array of a step."""


def out_of_memory(error: MemoryError, doing: str, x: Array | None = None) -> OutOfMemory:
    """The error to raise instead of `error`, which came while `doing` something with `x`."""
    given = "" if x is None else f" on {tuple(x.shape)} {x.dtype}, {gigabytes(x.nbytes)}"
    less = "" if x is None else f" to {max(1, x.shape[0] // 2)}"
    said = " ".join(str(error).split()).rstrip(".") or "no more is known"
    return OutOfMemory(f"out of memory in the {doing}{given} ({said}): halve the batch size{less}, or keep less.")


def gigabytes(nbytes: float) -> str:
    """In the unit that reads well."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e8 else f"{nbytes / 1e6:.1f} MB"
