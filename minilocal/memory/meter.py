"""A meter of bytes: what arrays take inside a `with` block, above what was allocated at entry, on any device."""

from __future__ import annotations

import tracemalloc
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from minilocal.device import device_namespace, on_device
from minilocal.kernels import workspace


class Counter(Protocol):
    """Reads the allocated bytes of a device."""

    def start(self) -> None:
        """Start counting."""

    def stop(self) -> None:
        """Stop counting, and undo what `start` set up."""

    def memory(self) -> tuple[int, int]:
        """(live now, the peak since the last `reset_peak`)."""

    def reset_peak(self) -> None: ...

    def scratch(self) -> int:
        """Live bytes that kernels keep for their next call."""


class Meter:
    """`with Meter(device) as meter: ...`, then `meter.peak` in bytes.

    On the host it counts NumPy's allocations, through tracemalloc, and with them Python's own objects: a few kB for
    each unit of a network. On a GPU it counts CuPy's memory pool, through a hook of this thread. A library with
    counters of its own is read instead. Counting costs time, so measure bytes and seconds in separate runs. Not counted
    are CuPy's context, its kernels and the workspace of cuBLAS, which lie outside the pool, and the work of a CUDA
    graph, which allocates nothing when it is launched.

    Raises: UserError for an unknown device, and one that is not there.
    """

    def __init__(self, device: Any = "cpu") -> None:
        self._counter, self._peak, self._base = _counter(device_namespace(device)), 0, 0

    def __enter__(self) -> Meter:
        self._counter.start()
        self._counter.reset_peak()
        self._peak, self._base = 0, self._counter.memory()[0]
        return self

    def read(self) -> tuple[int, int]:
        """(live bytes, the peak since the last `read`), above those at entry."""
        live, peak = (n - self._base for n in self._counter.memory())
        self._counter.reset_peak()
        self._peak = max(self._peak, peak)
        return live, peak

    def scratch(self) -> int:
        """Bytes that the CPU's threads keep for their kernels, allocated since tracing began."""
        return self._counter.scratch()

    @property
    def peak(self) -> int:
        """The peak inside the block, up to the last `read` or its end."""
        return self._peak

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.read()
        self._counter.stop()


def held_bytes(device: Any) -> int:
    """Bytes that the device's memory pool holds: in use, and kept for later arrays. 0 without a pool, as on the host.

    More than is in use: the pool splits its blocks for smaller arrays, and cannot join parts that are still in use.
    """
    pool = _pool(device)
    with on_device(device):
        return 0 if pool is None else int(pool.total_bytes())


def free_unused(device: Any) -> None:
    """Let the device's memory pool give back what is not in use."""
    pool = _pool(device)
    if pool is not None:
        with on_device(device):
            pool.free_all_blocks()


def _pool(device: Any) -> Any:
    library = device_namespace(device)
    return library.get_default_memory_pool() if hasattr(library, "get_default_memory_pool") else None


def _counter(library: Any) -> Counter:
    if library is np:
        return _HostCounter()
    return _LibraryCounter(library) if hasattr(library, "memory") else _PoolCounter(library)


class _HostCounter:
    """tracemalloc: NumPy reports every allocation to it."""

    def start(self) -> None:
        self._started = not tracemalloc.is_tracing()
        if self._started:
            tracemalloc.start()

    def stop(self) -> None:
        if self._started:
            tracemalloc.stop()

    def memory(self) -> tuple[int, int]:
        return tracemalloc.get_traced_memory()

    def reset_peak(self) -> None:
        tracemalloc.reset_peak()

    def scratch(self) -> int:
        kernels = tracemalloc.Filter(True, workspace.__file__)
        return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([kernels]).traces)


class _LibraryCounter:
    """The counters of a library that has `memory()` and `reset_peak()`: abstract arrays, and the tests' fake device."""

    def __init__(self, library: Any) -> None:
        self._library, self.memory, self.reset_peak = library, library.memory, library.reset_peak

    def start(self) -> None:
        """Nothing: the library always counts."""

    def stop(self) -> None:
        """Nothing: the library goes on counting."""

    def scratch(self) -> int:
        return getattr(self._library, "scratch", 0)


class _PoolCounter:
    """CuPy's default pool of the current device. It has no peak, so a hook reads it after each allocation."""

    def __init__(self, cupy: Any) -> None:
        pool = self._pool = cupy.get_default_memory_pool()
        self._peak = 0

        class ReadPeak(cupy.cuda.MemoryHook):
            name = "minilocal peak"

            def malloc_postprocess(hook, **allocation: Any) -> None:
                self._peak = max(self._peak, pool.used_bytes())

        self._hook = ReadPeak()

    def start(self) -> None:
        self._hook.__enter__()

    def stop(self) -> None:
        self._hook.__exit__(None, None, None)

    def memory(self) -> tuple[int, int]:
        live = self._pool.used_bytes()
        return live, max(live, self._peak)

    def reset_peak(self) -> None:
        self._peak = self._pool.used_bytes()

    def scratch(self) -> int:
        return 0  # CUDA kernels keep no scratch
