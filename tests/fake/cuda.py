"""`cupy.cuda`, as far as minilocal uses it, over the fake device: streams, graphs, pools, events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from tests.fake import ledger


class Graph:
    """A captured step; `launch` runs it."""

    def __init__(self, capture: ledger.Capture) -> None:
        self._capture = capture

    def launch(self, stream: Stream | None = None) -> None:
        ledger.note("launches")
        self._capture.play()


class Stream:
    """A queue of work; `with stream:` makes it the current one. All work is done at once, unless it is captured."""

    null: Stream

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self.is_non_blocking, self._null = non_blocking, null
        self._capture: ledger.Capture | None = None

    def __enter__(self) -> Stream:
        _current.append(self)
        _turn()
        return self

    def __exit__(self, *error: Any) -> None:
        _current.pop()
        _turn()

    def use(self) -> Stream:
        _current[-1] = self
        _turn()
        return self

    def synchronize(self) -> None:
        ledger.note("syncs")

    def is_capturing(self) -> bool:
        return self._capture is not None

    def begin_capture(self, mode: Any = None) -> None:
        """Raises: RuntimeError on the default stream, as CUDA does."""
        if self._null or self._capture is not None:
            raise RuntimeError("cudaErrorStreamCaptureUnsupported: operation not permitted on this stream")
        self._capture = ledger.Capture()
        _turn()

    def end_capture(self) -> Graph:
        """Raises: RuntimeError where nothing was begun, or something was tried that cannot be captured."""
        capture, self._capture = self._capture, None
        _turn()
        if capture is None:
            raise RuntimeError("cudaErrorIllegalState: the operation cannot be performed in the present state")
        capture.wind_up()
        if capture.broken:
            raise RuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return Graph(capture)


Stream.null = Stream(null=True)
_current = [Stream.null]


def _turn() -> None:
    ledger.capture = _current[-1]._capture


def get_current_stream() -> Stream:
    return _current[-1]


class MemoryPool:
    """All memory is of one pool here; what a pool would hold back is not counted."""

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("the fake device hands out arrays, not pointers")

    def used_bytes(self) -> int:
        return ledger.live

    total_bytes = used_bytes

    def free_all_blocks(self, stream: Stream | None = None) -> None:
        pass


@contextmanager
def using_allocator(allocator: Callable[[int], Any] | None = None) -> Iterator[None]:
    yield


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
    """The only one."""

    def __init__(self, number: int = 0) -> None:
        self.id = number

    def use(self) -> None:
        pass

    def synchronize(self) -> None:
        ledger.note("syncs")

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


def is_available() -> bool:
    return True


runtime = SimpleNamespace(
    getDeviceCount=lambda: 1,
    getDeviceProperties=lambda number: {"name": b"fake device"},
    memGetInfo=lambda: (2**33 - ledger.live, 2**33),
    deviceSynchronize=lambda: ledger.note("syncs"),
)
