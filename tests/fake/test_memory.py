"""The fake device's pools are as CuPy's where it matters to recording, and its cards may be two."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from tests.fake import cuda_on_host, memory
from tests.fake.device import fake
from tests.fake.memory import UNIT, OutOfMemoryError

needs_kernels = pytest.mark.skipif(cuda_on_host.available() is not None, reason=str(cuda_on_host.available()))
MB = 1 << 20


@pytest.fixture
def card():
    """The card with 8 MB free, all cached blocks let go."""
    with memory.limited(8 * MB) as card:
        yield card


@pytest.fixture
def pool():
    pool = memory.MemoryPool()
    yield pool
    gc.collect()
    pool.free_all_blocks()


def held(card):
    """Bytes beyond those before the test, which left so many free."""
    return 8 * MB - (card.size - card.held)


def test_a_freed_block_is_cached_reused_and_split(card, pool):
    block = pool.malloc(MB)
    del block
    assert (pool.used_bytes(), pool.total_bytes(), pool.free_bytes(), held(card)) == (0, MB, MB, MB)
    parts = [pool.malloc(n) for n in (1, UNIT, MB - 2 * UNIT)]
    assert (pool.used_bytes(), pool.total_bytes(), held(card)) == (MB, MB, MB)
    del parts[1]
    pool.free_all_blocks()
    assert pool.free_bytes() == UNIT, "a split block stays"
    parts.clear()
    pool.free_all_blocks()
    assert pool.total_bytes() == held(card) == 0


def test_the_smallest_block_that_is_large_enough_is_taken(card, pool):
    blocks = [pool.malloc(n * UNIT) for n in (8, 2, 4)]
    blocks.clear()
    kept = [pool.malloc(n * UNIT) for n in (2, 3, 8)]
    assert pool.total_bytes() == 14 * UNIT and pool.free_bytes() == UNIT and kept


def test_a_block_is_reused_on_its_own_stream_only(card, pool):
    one, other = fake.cuda.Stream(), fake.cuda.Stream()
    for stream in (one, other, one):
        with stream:
            pool.malloc(MB)
    assert pool.total_bytes() == 2 * MB


def test_short_of_memory_a_pool_lets_go_of_its_own_blocks_and_never_of_anothers(card, pool):
    other = memory.MemoryPool()
    other.malloc(5 * MB)  # and let go: cached
    with pytest.raises(OutOfMemoryError, match="Out of memory allocating 4,194,304 bytes"):
        pool.malloc(4 * MB)
    assert isinstance(OutOfMemoryError(1, 1), MemoryError) and pool.total_bytes() == 0
    block = other.malloc(6 * MB)
    assert other.total_bytes() == 6 * MB
    del block
    other.free_all_blocks()


def test_an_allocator_that_raises_a_memory_error_ends_the_search_at_once(card):
    def allocate(size):
        try:
            return fake.cuda.MemoryPointer(fake.cuda.Memory(size), 0)
        except fake.cuda.runtime.CUDARuntimeError:
            raise MemoryError("no") from None

    pool = memory.MemoryPool(allocate)
    pool.malloc(5 * MB)
    with pytest.raises(MemoryError, match=r"^no$"):
        pool.malloc(6 * MB)
    assert pool.total_bytes() == pool.free_bytes() == 5 * MB
    pool.free_all_blocks()


def test_a_limit_of_a_pool(card, pool):
    pool.set_limit(2 * MB)
    block = pool.malloc(2 * MB)
    with pytest.raises(OutOfMemoryError, match="limit set to: 2,097,152 bytes"):
        pool.malloc(1)
    del block
    pool.malloc(MB)
    assert pool.total_bytes() <= 2 * MB


def test_a_pool_that_is_dropped_gives_nothing_back(card):
    pool = memory.MemoryPool()
    pool.malloc(MB)
    del pool
    gc.collect()
    assert held(card) == MB
    card.reserve(-MB)  # so that other tests have it


def test_arrays_are_of_the_current_allocator(card, pool):
    with fake.cuda.using_allocator(pool.malloc):
        x = fake.zeros(1000, "f4")
    y = fake.zeros(1000, "f4")
    assert pool.used_bytes() == pool.total_bytes() == 4096
    del x, y


def test_a_graph_whose_memory_was_freed_does_not_run(card, pool):
    stream = fake.cuda.Stream(non_blocking=True)
    with fake.cuda.using_allocator(pool.malloc), stream:
        stream.begin_capture()
        fake.zeros(3) + 1
        graph = stream.end_capture()
    graph.launch()
    pool.free_all_blocks()
    with pytest.raises(memory.CUDARuntimeError, match="cudaErrorIllegalAddress"):
        graph.launch()


# ------------------------------------------------------------------ two devices


@pytest.fixture
def two():
    with memory.two_cards():
        yield


def test_an_array_is_worked_on_where_it_lies(two):
    with fake.cuda.Device(1):
        x = fake.ones(3)
    assert x.device.id == 1 and x.get().tolist() == [1, 1, 1]
    assert x.copy().device.id == fake.asarray(x).device.id == 0 and x[1:].device.id == 1
    for work in (lambda: x + 1, lambda: x.fill(2), lambda: x.__setitem__(0, 1), lambda: fake.ones(3) * x):
        with pytest.raises(ValueError, match="array device = 1 while current = 0"):
            work()


@needs_kernels
def test_a_kernel_takes_arrays_of_the_current_device(two):
    kernel = fake.RawKernel('extern "C" __global__ void one(double *x) { x[threadIdx.x] = 1; }', "one")
    with fake.cuda.Device(1):
        x = fake.zeros(3)
        kernel((1,), (3,), (x,))
    with pytest.raises(memory.CUDARuntimeError, match="cudaErrorIllegalAddress"):
        kernel((1,), (3,), (x,))


def test_a_thread_starts_on_the_first_device(two):
    seen = []
    with fake.cuda.Device(1):
        thread = threading.Thread(target=lambda: seen.append(fake.cuda.Device().id))
        thread.start()
        thread.join()
        assert (seen, fake.cuda.Device().id) == ([0], 1)
    assert fake.cuda.Device().id == 0


def test_a_device_that_is_not_there(two):
    with pytest.raises(memory.CUDARuntimeError, match="invalid device ordinal"), fake.cuda.Device(2):
        pass
    assert np.array_equal(fake.ones(1).get(), [1])
