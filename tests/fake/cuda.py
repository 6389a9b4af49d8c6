"""`cupy.cuda`, as far as minilocal uses it, over the fake device: streams, graphs, pools, events."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from tests.fake import ledger, memory
from tests.fake.memory import CUDARuntimeError, Memory, MemoryPointer, MemoryPool, using_allocator

__all__ = ["Device", "Event", "Graph", "Memory", "MemoryPointer", "MemoryPool", "Stream", "using_allocator"]


class Graph:
    """A captured step; `launch` runs it."""

    def __init__(self, capture: ledger.Capture) -> None:
        self._capture = capture

    def upload(self, stream: Stream | None = None) -> None:
        pass

    def launch(self, stream: Stream | None = None) -> None:
        ledger.note("launches")
        self._capture.play()


class Stream:
    """A queue of work; `with stream:` makes it the current one. All work is done at once, unless it is captured."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.is_non_blocking, self._null = non_blocking, null
        self.capture: ledger.Capture | None = None

    def __enter__(self) -> Stream:
        memory.thread.streams.setdefault(memory.thread.card, []).append(self)
        return self

    def __exit__(self, *error: Any) -> None:
        memory.thread.streams[memory.thread.card].pop()

    def use(self) -> Stream:
        memory.thread.streams[memory.thread.card] = [self]
        return self

    def synchronize(self) -> None:
        ledger.note("syncs")

    def is_capturing(self) -> bool:
        return self.capture is not None

    def begin_capture(self, mode: Any = None) -> None:
        """Raises: RuntimeError on the default stream, CUDARuntimeError where it captures already."""
        if self._null:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self.capture is not None:
            raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: operation not permitted on this stream")
        self.capture = ledger.Capture()

    def end_capture(self) -> Graph:
        """Raises: CUDARuntimeError where nothing was begun, or something was tried that cannot be captured."""
        capture, self.capture = self.capture, None
        if capture is None:
            raise CUDARuntimeError(401, "cudaErrorIllegalState: the operation cannot be performed in this state")
        capture.wind_up()
        if capture.broken:
            raise CUDARuntimeError(
                901, "cudaErrorStreamCaptureInvalidated: operation failed due to a previous error during capture"
            )
        return Graph(capture)


memory.null_stream = Stream.null = Stream(null=True)
get_current_stream = memory.current_stream


class Event:
    """A moment on the host's clock."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.at = 0.0

    def record(self, stream: Stream | None = None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        ledger.note("syncs")


def get_elapsed_time(first: Event, last: Event) -> float:
    """Milliseconds."""
    return (last.at - first.at) * 1e3


class Device:
    """A GPU by its number, by default the current one; `with Device(1):` makes it this thread's current one."""

    def __init__(self, number: Any = None) -> None:
        self.id = memory.thread.card if number is None else int(number)

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<CUDA Device {self.id}>"

    def use(self) -> Device:
        """Raises: CUDARuntimeError where there is no such GPU."""
        if self.id not in range(len(memory.cards)):
            raise CUDARuntimeError(101, "cudaErrorInvalidDevice: invalid device ordinal")
        memory.thread.card = self.id
        return self

    def synchronize(self) -> None:
        ledger.note("syncs")

    def __enter__(self) -> Device:
        memory.thread.cards_before.append(memory.thread.card)
        return self.use()

    def __exit__(self, *error: Any) -> None:
        memory.thread.card = memory.thread.cards_before.pop()


def is_available() -> bool:
    return True


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: len(memory.cards),
    getDeviceProperties=lambda number: {"name": b"fake device"},
    memGetInfo=lambda: (memory.current().size - memory.current().held, memory.current().size),
    deviceSynchronize=lambda: ledger.note("syncs"),
)
