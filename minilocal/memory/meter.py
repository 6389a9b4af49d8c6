"""Bytes: what arrays take inside a block, above what was there when it began, on the host or on a device."""

from __future__ import annotations

import tracemalloc
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from minilocal.device import device_namespace
from minilocal.kernels import workspace


class Counter(Protocol):
    """What knows the bytes of a device."""

    def start(self) -> None:
        """Begins to count."""

    def stop(self) -> None:
        """Ends it, and leaves nothing behind."""

    def memory(self) -> tuple[int, int]:
        """(live now, the most since the last `reset_peak`)."""

    def reset_peak(self) -> None: ...

    def scratch(self) -> int:
        """Bytes, of those live now, that kernels keep for their next call."""


class Meter:
    """`with Meter(device) as meter: ...`, then `meter.peak` in bytes.

    Counts what NumPy allocates, through tracemalloc, or what CuPy's pool has handed out, through a hook of this
    thread; a library with counters of its own is asked for them. Counting costs time: measure bytes and seconds in
    separate runs. CuPy's context, its kernels and the workspace of cuBLAS lie outside the pool and are not seen; nor
    is anything that a CUDA graph does, which allocates nothing when it is started.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._counter, self._most, self._base = _counter(device_namespace(device)), 0, 0

    def __enter__(self) -> Meter:
        self._counter.start()
        self._counter.reset_peak()
        self._most, self._base = 0, self._counter.memory()[0]
        return self

    def read(self) -> tuple[int, int]:
        """(bytes now, the most since the last `read`), above those at entry."""
        live, peak = (n - self._base for n in self._counter.memory())
        self._counter.reset_peak()
        self._most = max(self._most, peak)
        return live, peak

    def scratch(self) -> int:
        """Bytes that the CPU's threads keep for their kernels, of those allocated since tracing began."""
        return self._counter.scratch()

    @property
    def peak(self) -> int:
        """The most bytes inside the block, so far or in all."""
        return self._most

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.read()
        self._counter.stop()


def _counter(library: Any) -> Counter:
    if library is np:
        return _Host()
    return _Own(library) if hasattr(library, "memory") else _Pool(library)


class _Host:
    """tracemalloc; NumPy tells it of every array."""

    def start(self) -> None:
        self._mine = not tracemalloc.is_tracing()
        if self._mine:
            tracemalloc.start()

    def stop(self) -> None:
        if self._mine:
            tracemalloc.stop()

    def memory(self) -> tuple[int, int]:
        return tracemalloc.get_traced_memory()

    def reset_peak(self) -> None:
        tracemalloc.reset_peak()

    def scratch(self) -> int:
        here = tracemalloc.Filter(True, workspace.__file__)
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([here]).traces)


class _Own:
    """A library that counts by itself, as fakes and ghosts do: it has `memory()` and `reset_peak()`."""

    def __init__(self, library: Any) -> None:
        self._library, self.memory, self.reset_peak = library, library.memory, library.reset_peak

    def start(self) -> None:
        """It counts all the time."""

    def stop(self) -> None:
        """It goes on."""

    def scratch(self) -> int:
        return getattr(self._library, "scratch", 0)


class _Pool:
    """CuPy's default pool of the current device. It has no peak, so a hook looks after each allocation."""

    def __init__(self, cupy: Any) -> None:
        pool = self._pool = cupy.get_default_memory_pool()
        self._most = 0

        class Look(cupy.cuda.MemoryHook):
            name = "minilocal peak"

            def malloc_postprocess(look, **of: Any) -> None:
                self._most = max(self._most, pool.used_bytes())

        self._hook = Look()

    def start(self) -> None:
        self._hook.__enter__()

    def stop(self) -> None:
        self._hook.__exit__(None, None, None)

    def memory(self) -> tuple[int, int]:
        live = self._pool.used_bytes()
        return live, max(live, self._most)

    def reset_peak(self) -> None:
        self._most = self._pool.used_bytes()

    def scratch(self) -> int:
        return 0  # no thread keeps anything there
