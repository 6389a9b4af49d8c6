"""Out of memory in a step, in one line: in what, on which tensor, and what to do."""

from __future__ import annotations

from types import TracebackType

from minilocal.array import Array
from minilocal.errors import UserError
from minilocal.layers import Layer


class OutOfMemory(UserError):
    """A device, or the host, has no room for an array of a step."""


class naming:
    """`with naming("forward of", layer, x):` turns a MemoryError inside into an OutOfMemory that names all three.

    Raises: OutOfMemory.
    """

    __slots__ = ("layer", "work", "x")  # one is made for every unit of every step

    def __init__(self, work: str, layer: Layer, x: Array | None = None) -> None:
        self.work, self.layer, self.x = work, layer, x

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, MemoryError):
            raise out_of_memory(error, f"{self.work} {self.layer.name}", self.x) from None


def out_of_memory(error: MemoryError, work: str, x: Array | None = None) -> OutOfMemory:
    """The error to raise for `error`, which stopped `work` on the tensor x."""
    tensor = "" if x is None else f" on {tuple(x.shape)} {x.dtype}, {gigabytes(x.nbytes)}"
    half = "" if x is None else f" to {max(1, x.shape[0] // 2)}"
    return OutOfMemory(
        f"out of memory in the {work}{tensor} ({reason_of(error)}): halve the batch size{half}, or keep less."
    )


def reason_of(error: MemoryError) -> str:
    """What an allocator says of itself, in one line."""
    return " ".join(str(error).split()).rstrip(".") or "no more is known"


def gigabytes(nbytes: float) -> str:
    """A number of bytes in GB, below 0.1 GB in MB."""
    return f"{nbytes / 1e9:.1f} GB" if nbytes >= 1e8 else f"{nbytes / 1e6:.1f} MB"
