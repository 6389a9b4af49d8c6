"""What the fake device has done and holds: its counts, its memory, and what a captured stream records.

Memory that is let go is overwritten with 0xff, NaN for a float, and so is memory that was never written: whoever reads
either, from a recorded step for example, sees it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet, ref

import numpy as np

from tests.fake import memory

live = 0  # bytes of all buffers
_meters: list[Counts] = []
_buffers: WeakSet[Buffer] = WeakSet()


@dataclass(eq=False)
class Counts:
    """What happened inside `with counting()`; `live` and `peak` are bytes on the device, above what was there before.

    syncs       waits of the host for the device: get, float, bool, a mask as an index, ...
    downloads   copies to the host, each a sync too        uploads     copies of host data to the device
    launches    kernels, or whole graphs, that were started
    """

    before: int = 0
    live: int = 0
    peak: int = 0
    syncs: int = 0
    uploads: int = 0
    downloads: int = 0
    launches: int = 0


@contextmanager
def counting(collect: bool = True) -> Iterator[Counts]:
    """Counts what the device does inside; may be nested.

    Cycles that others have left are collected first: one that the collector finds in here would free what is not ours.
    Who counts no bytes may leave that out; it takes a twentieth of a second.
    """
    if collect:
        gc.collect()
    meter = Counts(before=live)
    _meters.append(meter)
    try:
        yield meter
    finally:
        _meters.remove(meter)


def capture() -> Capture | None:
    """Where this thread's current stream records; None while work is done at once."""
    captured: Capture | None = memory.current_stream().capture
    return captured


def note(*kinds: str) -> None:
    """Counts one of each kind. A capture stands no wait and no copy.

    Raises: CUDARuntimeError where a stream is being captured; its graph is lost.
    """
    if kinds != ("launches",) and (recording := capture()) is not None:
        recording.broken = True
        raise memory.CUDARuntimeError(
            900,
            "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
            f" ({' and '.join(kinds)} in a captured step)",
        )
    for meter in _meters:
        for kind in kinds:
            setattr(meter, kind, getattr(meter, kind) + 1)


class Buffer:
    """An allocation: one array that owns its memory. It is freed with the last fake array that lies in it."""

    __slots__ = ("__weakref__", "array", "card", "memory")

    def __init__(self, array: np.ndarray) -> None:
        self.card, self.memory = memory.current(), memory.allocate(array.nbytes) if array.nbytes else None
        _allocate(array.nbytes)
        self.array = array
        _buffers.add(self)
        if (recording := capture()) is not None:
            recording.born.append(array)
            if self.memory is not None:
                recording.works_in(self.memory.memory)

    def __del__(self) -> None:
        if _allocate is None or not hasattr(self, "array"):  # the interpreter goes; or there was no room for it
            return
        _allocate(-self.array.nbytes)
        spoil(self.array)


def _allocate(bytes_: int) -> None:
    global live
    live += bytes_
    for meter in _meters:
        meter.live = live - meter.before
        meter.peak = max(meter.peak, meter.live)


def spoil(array: np.ndarray) -> None:
    """0xff in every byte."""
    array.reshape(-1).view(np.uint8).fill(0xFF)


def reachable() -> list[np.ndarray]:
    """All that a pointer on the current card may point into: what lives, and what is being recorded."""
    recording = capture()
    return [b.array for b in _on(memory.current())] + ([] if recording is None else recording.born)


def _on(card: memory.Card) -> list[Buffer]:
    return [b for b in list(_buffers) if b.card is card]


# ------------------------------------------------------------------ recording


@dataclass
class Capture:
    """The operations of a captured stream, each with the arrays that it reads and the ones that it writes.

    CUDA executes nothing while it captures. Here operations do run, since their results' shapes are needed; `wind_up`
    puts all memory of its card back as it was, and spoils what was allocated meanwhile.
    """

    steps: list[Callable[[], None]] = field(default_factory=list)
    born: list[np.ndarray] = field(default_factory=list)
    memories: dict[int, ref[memory.Memory]] = field(default_factory=dict)  # of the card, that it works in
    broken: bool = False

    def __post_init__(self) -> None:
        self.card = memory.current()
        self._before = [(ref(b), b.array.copy()) for b in _on(self.card)]

    def wind_up(self) -> None:
        for array in self.born:
            spoil(array)
        for buffer, content in self._before:
            if (alive := buffer()) is not None:
                np.copyto(alive.array, content)
        self._before = []

    def works_in(self, of_card: memory.Memory) -> None:
        self.memories.setdefault(id(of_card), ref(of_card))

    def play(self) -> None:
        """Everything again, in order, on the very same memory.

        Raises: CUDARuntimeError on another card, and where memory that was allocated meanwhile is the card's again.
        """
        if self.card is not memory.current() or any(alive() is None for alive in self.memories.values()):
            raise memory.CUDARuntimeError(700, "cudaErrorIllegalAddress: an illegal memory access was encountered")
        for step in self.steps:
            step()


def done(function: Callable[..., Any], args: Any, kwargs: Any, results: list[np.ndarray | None]) -> None:
    """Counts an operation that has run, and records it; `results` are the arrays that it made (None: a view)."""
    note("launches")
    if (recording := capture()) is not None:

        def again() -> None:
            result = function(*args, **kwargs)
            for mine, new in zip(results, result if isinstance(result, list | tuple) else [result], strict=False):
                if mine is not None:
                    np.copyto(mine, new)

        recording.steps.append(again)
