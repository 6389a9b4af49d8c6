"""Peak bytes: what arrays took inside a block, above what was there when it began."""

from __future__ import annotations

import tracemalloc
from types import TracebackType


class Meter:
    """`with Meter() as meter: ...`, then `meter.peak` in bytes.

    Counts what NumPy allocates, through tracemalloc, so it costs time: measure bytes and seconds in separate runs.
    """

    def __init__(self) -> None:
        self.peak = 0

    def __enter__(self) -> Meter:
        self._mine = not tracemalloc.is_tracing()
        if self._mine:
            tracemalloc.start()
        tracemalloc.reset_peak()
        self._base = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.peak = tracemalloc.get_traced_memory()[1] - self._base
        if self._mine:
            tracemalloc.stop()
