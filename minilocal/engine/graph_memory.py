"""The memory that CUDA graphs work in: a pool of its own, which lives as long as the graphs do.

A recorded step names addresses. What it allocated and let go is free for the next recording, and must stay the pool's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minilocal.engine.out_of_memory import gigabytes

GAPS = 10  # 1/10 of a step: what best fit may lose in another order of blocks


class GraphMemory:
    """Memory of the current GPU for recordings with the library `xp`; nothing until the first of them."""

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._pool: Any = None
        self._stream: Any = None
        self._counters: list[Any] = []

    @contextmanager
    def recording(self) -> Iterator[Any]:
        """A stream that is the current one inside, and whose arrays lie here.

        All recordings share it: CuPy reuses a block on the stream only that it was allocated on. Each has counters of
        its own (kernels/cuda/last_block.py), which lie outside: they outlive what a recording takes and lets go.
        """
        from minilocal.kernels.cuda.last_block import new_counters  # on use: a CPU needs none of it

        cuda = self._xp.cuda
        if self._pool is None:
            self._gpu, self._pool = cuda.Device(), cuda.MemoryPool(self._allocate)
            self._pool.set_limit(size=0)  # `_allocate` has one for both pools
            self._stream = cuda.Stream(non_blocking=True)  # the default one cannot be recorded
        self._counters.append(new_counters(self._xp, self._stream))
        with cuda.using_allocator(self._pool.malloc), self._stream:
            yield self._stream

    @property
    def held(self) -> int:
        """Bytes of the GPU that the pool holds."""
        return 0 if self._pool is None else int(self._pool.total_bytes())

    def clear_default(self) -> None:
        """Let go of the default pool's free blocks.

        Before the eager step of a kind: afterwards they are what it took. Before its recording, which needs as much.
        """
        self._xp.get_default_memory_pool().free_all_blocks()

    def refusal(self, copies: int) -> str:
        """Why there is no room to record the step whose eager form came last; nothing where there is.

        The recording takes the place of that step's blocks, and needs up to a tenth more, since its own lie otherwise;
        and `copies` bytes. It is asked before those blocks are let go: an eager step may need them as they lie.
        """
        free, took = self._free_bytes(), self._xp.get_default_memory_pool().free_bytes()
        if free >= copies + took // GAPS:
            return ""
        return f"the GPU has no room for a graph, {gigabytes(free)} beside a step of {gigabytes(took)}"

    def fits_beside(self) -> bool:
        """Whether as many bytes as are held here are free besides."""
        return self._free_bytes() + int(self._xp.get_default_memory_pool().free_bytes()) >= self.held

    def _free_bytes(self) -> int:
        """Bytes that are free on the GPU, and that the default pool's limit still allows to both pools."""
        free, default = int(self._xp.cuda.runtime.memGetInfo()[0]), self._xp.get_default_memory_pool()
        limit = int(default.get_limit())
        return min(free, limit - int(default.total_bytes()) - self.held) if limit else free

    def release(self) -> None:
        """Give everything back to the GPU, once no graph and no array needs it. It waits for the GPU.

        A CuPy pool that is only dropped gives nothing back.
        """
        pool, self._pool, self._stream, self._counters = self._pool, None, None, []
        if pool is not None:
            with self._gpu:
                pool.free_all_blocks()

    def _allocate(self, size: int) -> Any:
        """A block from the GPU, for the pool.

        Raises: MemoryError where there is none. After CuPy's own error, a CUDARuntimeError, the pool would let go of
        its free blocks and ask again, and what has been recorded so far works in those.
        """
        cuda, default = self._xp.cuda, self._xp.get_default_memory_pool()
        limit, held = default.get_limit(), default.total_bytes() + self.held
        if 0 < limit < held:
            raise MemoryError(f"{held:,} bytes for steps and graphs, limit set to {limit:,} bytes")
        try:
            return cuda.MemoryPointer(cuda.Memory(size), 0)
        except cuda.runtime.CUDARuntimeError as error:
            if "cudaErrorMemoryAllocation" not in str(error):
                raise
            raise MemoryError(f"{size:,} bytes beyond {self.held - size:,}") from None
