"""The memory of the fake device's cards, and CuPy's pools on them (cupy/cuda/memory.pyx of 14.2).

    malloc      the smallest cached block that is large enough, split to the size; else memory of the card
    no room     a pool lets go of its own cached blocks and tries again, never of another pool's
    free        the block goes to the arena of the stream that it was taken on, joined with its free neighbours
    dropped     a pool that is dropped never gives its cached blocks back: block and arena hold each other, where
                Python's collector does not look

Bytes are counted here; the numbers themselves lie in NumPy's arrays (tests/fake/ledger.py).
"""

from __future__ import annotations

import gc
import threading
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from weakref import WeakValueDictionary, ref

from minilocal.kernels.cuda import last_block

UNIT = 512  # bytes, to which every allocation is rounded up
CARD = 2**33


class CUDARuntimeError(RuntimeError):
    """`cupy.cuda.runtime.CUDARuntimeError`: a number, and a line that begins with its name."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`."""

    def __init__(self, size: int, total: int, limit: int = 0) -> None:
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited}).")


class Card:
    """A GPU of `size` bytes, of which pools hold `held`; `most` is the peak since it was last set."""

    def __init__(self, number: int, size: int = CARD) -> None:
        self.number, self.size, self.held, self.most = number, size, 0, 0
        self._lock = threading.RLock()

    def reserve(self, size: int) -> None:
        """Raises: CUDARuntimeError where so many bytes are not free."""
        with self._lock:
            if self.held + size > self.size:
                raise CUDARuntimeError(2, "cudaErrorMemoryAllocation: out of memory")
            self.held += size
            self.most = max(self.most, self.held)


cards = [Card(0)]
limit_of_a_new_pool = 0  # CUPY_GPU_MEMORY_LIMIT in bytes; 0 is none
null_stream: Any = None  # the default one; tests/fake/cuda.py sets it


class ThisThread(threading.local):
    """What CUDA and CuPy keep for each thread: it starts on the first card."""

    def __init__(self) -> None:
        self.card = 0
        self.cards_before: list[int] = []
        self.streams: dict[int, list[Any]] = {}  # of each card, the current one last
        self.allocator: Callable[[int], Any] | None = None


thread = ThisThread()


def current() -> Card:
    return cards[thread.card]


class Memory:
    """`cupy.cuda.Memory`: bytes of the current card, by cudaMalloc; given back by cudaFree when it is dropped."""

    def __init__(self, size: int) -> None:
        self.size, self.card = 0, current()
        self.card.reserve(size)
        self.size = size

    def __del__(self) -> None:
        if self.size:
            self.card.reserve(-self.size)


class MemoryPointer:
    """`cupy.cuda.MemoryPointer`."""

    def __init__(self, mem: Any, offset: int) -> None:
        self.mem, self.offset = mem, offset


class Block:
    """A part of `memory`, between its neighbours in it."""

    def __init__(self, memory: Memory, size: int, arena: Arena) -> None:
        self.memory, self.size, self.arena = memory, size, arena
        self.before: Block | None = None
        self.after: Block | None = None
        self.number = next(_numbers)

    def split(self, size: int) -> Block | None:
        """What is left beyond `size` bytes."""
        if self.size == size:
            return None
        rest = Block(self.memory, self.size - size, self.arena)
        self.size, rest.before, rest.after, self.after = size, self, self.after, rest
        if rest.after is not None:
            rest.after.before = rest
        return rest

    def join(self) -> None:
        """Take in the block after this one."""
        assert self.after is not None
        self.size, self.after = self.size + self.after.size, self.after.after
        if self.after is not None:
            self.after.before = self


_numbers = count()
_indices: dict[int, list[tuple[int, int, Block]]] = {}  # of arenas: what no collector sees, as a C++ set


class Arena:
    """The free blocks of one stream, by size; it lives as long as one of its blocks does."""

    def __init__(self) -> None:
        self.number = next(_numbers)

    @property
    def index(self) -> list[tuple[int, int, Block]]:
        return _indices.setdefault(self.number, [])

    def insert(self, block: Block) -> None:
        while block.after is not None and self._remove(block.after):
            block.join()
        while block.before is not None and self._remove(block.before):
            block = block.before
            block.join()
        insort(self.index, (block.size, block.number, block))

    def smallest(self, size: int) -> Block | None:
        at = bisect_left(self.index, (size, -1))
        if at == len(self.index):
            return None
        block = self.index.pop(at)[2]
        if (rest := block.split(size)) is not None:
            insort(self.index, (rest.size, rest.number, rest))
        return block

    def free_all(self) -> int:
        """The bytes of the blocks that were no part of a larger one: they are the card's again."""
        entries = _indices.pop(self.number, [])
        if split := [entry for entry in entries if entry[2].before is not None or entry[2].after is not None]:
            _indices[self.number] = split
        return sum(size for size, *_ in entries) - sum(size for size, *_ in split)

    def _remove(self, block: Block) -> bool:
        entry, index = (block.size, block.number, block), self.index
        at = bisect_left(index, entry[:2])
        if at < len(index) and index[at][2] is block:
            del index[at]
            return True
        return False


class PooledMemory:
    """A block in use; back in its pool when it is dropped, or nowhere where the pool is gone."""

    def __init__(self, block: Block, pool: Any) -> None:
        self.block, self._pool = block, pool
        self.size, self.card = block.size, block.memory.card

    @property
    def memory(self) -> Memory:
        return self.block.memory

    def __del__(self) -> None:
        if (pool := self._pool()) is not None:
            pool.free(self.block)


class CardPool:
    """`cupy.cuda.memory.SingleDeviceMemoryPool`."""

    def __init__(self, allocator: Callable[[int], MemoryPointer]) -> None:
        self._allocator, self._arenas = allocator, WeakValueDictionary[int, Arena]()
        self._lock, self._pending, self._myself = threading.Lock(), list[Block](), ref(self)
        self.total, self.used, self.limit = 0, 0, limit_of_a_new_pool

    def malloc(self, size: int) -> MemoryPointer:
        size = -(-size // UNIT) * UNIT
        stream = id(current_stream())
        with self._lock:
            self._commit()
            arena = self._arenas.get(stream) or Arena()
            self._arenas[stream] = arena
            block = arena.smallest(size)
        block = block or Block(self._new(size), size, arena)
        self.used += size
        return MemoryPointer(PooledMemory(block, self._myself), 0)

    def free(self, block: Block) -> None:
        self.used -= block.size
        if not self._lock.acquire(blocking=False):  # the collector came in the middle of something
            self._pending.append(block)
            return
        try:
            block.arena.insert(block)
        finally:
            self._lock.release()

    def free_all_blocks(self, stream: Any = None) -> None:
        with self._lock:
            self._commit()
            arenas = list(self._arenas.values()) if stream is None else filter(None, [self._arenas.get(id(stream))])
            for arena in arenas:
                self.total -= arena.free_all()

    def _commit(self) -> None:
        while self._pending:
            block = self._pending.pop()
            block.arena.insert(block)

    def _new(self, size: int) -> Memory:
        """Raises: OutOfMemoryError, after all cached blocks of this pool have been let go."""
        for attempt in range(3):
            if attempt == 2:
                gc.collect()
            if attempt:
                self.free_all_blocks()
            if self.limit and self.total + size > self.limit:
                continue
            self.total += size
            memory = None
            try:
                memory = self._allocator(size).mem
            except CUDARuntimeError as error:
                if error.status != 2:
                    raise
            finally:
                self.total -= size if memory is None else 0
            if memory is not None:
                return memory
        raise OutOfMemoryError(size, self.total, self.limit)


class MemoryPool:
    """`cupy.cuda.MemoryPool`: a pool on each card; every method is about the current one."""

    def __init__(self, allocator: Callable[[int], MemoryPointer] | None = None) -> None:
        self._allocator = allocator or (lambda size: MemoryPointer(Memory(size), 0))
        self._pools: dict[int, CardPool] = {}

    @property
    def _own(self) -> CardPool:
        card = current()
        if card.number not in self._pools:
            self._pools[card.number] = CardPool(self._allocator)
        return self._pools[card.number]

    def malloc(self, size: int) -> MemoryPointer:
        return self._own.malloc(size)

    def free_all_blocks(self, stream: Any = None) -> None:
        self._own.free_all_blocks(stream)

    def used_bytes(self) -> int:
        return self._own.used

    def total_bytes(self) -> int:
        return self._own.total

    def free_bytes(self) -> int:
        return self._own.total - self._own.used

    def set_limit(self, size: int = 0) -> None:
        self._own.limit = size

    def get_limit(self) -> int:
        return self._own.limit


default_pool = MemoryPool()


def allocate(size: int) -> PooledMemory:
    """Memory of the current card from the current allocator."""
    memory: PooledMemory = (thread.allocator or default_pool.malloc)(size).mem
    return memory


@contextmanager
def using_allocator(allocator: Callable[[int], Any] | None = None) -> Iterator[None]:
    before, thread.allocator = thread.allocator, allocator
    try:
        yield
    finally:
        thread.allocator = before


def current_stream() -> Any:
    streams = thread.streams.get(thread.card)
    return streams[-1] if streams else null_stream


@contextmanager
def two_cards() -> Iterator[list[Card]]:
    """Two cards inside, the second one new; and this thread on the first."""
    cards.append(Card(1))
    before, thread.card = thread.card, 0
    try:
        yield cards
    finally:
        thread.card = before
        cards.pop()
        last_block._of_stream.clear()  # what kernels kept on a card that is gone


@contextmanager
def limited(bytes_: int) -> Iterator[Card]:
    """The current card with so many bytes free above what is in use: cached blocks are let go first."""
    gc.collect()
    default_pool.free_all_blocks()
    card = current()
    before, card.size, card.most = card.size, card.held + bytes_, card.held
    try:
        yield card
    finally:
        card.size = before
