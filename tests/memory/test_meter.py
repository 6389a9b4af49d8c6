"""The meter: bytes inside a block on the host, on a library with counters, and in CuPy's pool."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from minilocal.memory import Meter
from minilocal.memory.abstract_array import AbstractNamespace
from tests.memory.steps import MB


def test_the_meter_reads_the_peak_above_what_was_allocated_at_entry():
    earlier = np.ones(5 * MB, "u1")
    with Meter() as meter:
        for size in (1, 3, 2):
            a = np.ones(size * MB, "u1")
            del a
        assert meter.peak == 0  # it has not been read yet
        live, most = meter.read()
        assert 0 <= live < 0.1 * MB and 3 * MB <= most < 3.1 * MB
        b = np.ones(2 * MB, "u1")
        assert meter.read()[1] < 2.1 * MB  # the peak since the last read
        del b, earlier
    assert 3 * MB <= meter.peak < 3.1 * MB
    assert not tracemalloc.is_tracing()


def test_a_library_with_counters_of_its_own_is_read():
    library = AbstractNamespace()
    kept = library.zeros((10, 10), "f4")
    with Meter(library) as meter:
        a = library.zeros(100, "f8")
        assert meter.read() == (800, 800)
        del a
        assert meter.read() == (0, 800) and meter.read() == (0, 0)
    assert meter.peak == 800 and kept.shape == (10, 10)


class Pool:
    """A fake of CuPy's pool: used bytes, and hooks that are called after each allocation."""

    def __init__(self):
        self.used, self.hooks = 1000, []

    def used_bytes(self):
        return self.used

    def malloc(self, size):
        self.used += size
        for hook in self.hooks:
            hook.malloc_postprocess(device_id=0, size=size, mem_size=size, mem_ptr=0, pmem_id=0)


def test_on_cupy_a_hook_reads_the_pool_after_each_allocation():
    pool = Pool()

    class MemoryHook:
        def __enter__(self):
            pool.hooks.append(self)
            return self

        def __exit__(self, *error):
            pool.hooks.remove(self)

    cupy = SimpleNamespace(get_default_memory_pool=lambda: pool, cuda=SimpleNamespace(MemoryHook=MemoryHook))
    with Meter(cupy) as meter:
        pool.malloc(512)
        pool.used -= 512  # a free: no hook sees it, and none need
        pool.malloc(256)
        assert meter.read() == (256, 512) and meter.read() == (256, 256)
        pool.malloc(1024)
        pool.used -= 1024
    assert meter.peak == 1280 and pool.hooks == []


def test_the_real_cupy_has_the_hook_that_is_used():
    cupy = pytest.importorskip("cupy")
    assert hasattr(cupy.cuda.MemoryHook, "malloc_postprocess") and hasattr(cupy, "get_default_memory_pool")
