"""Pieces of work as CUDA graphs, so that their seconds are the GPU's.

An eager piece of a few microseconds takes as long as the host needs to launch it. A graph holds many runs of the piece
and is launched by one call, after which the host takes no part. Libraries refuse to capture some work: CuPy every call
of cuBLAS, for example.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from minilocal.bench.timing import Work
from minilocal.errors import first_line


class NotCaptured(RuntimeError):
    """A piece of work cannot be captured; the text says why."""


class CapturedWork:
    """`runs` runs of a piece of work in one graph.

    launch     starts them all
    release    drops the graph and gives its memory back
    """

    def __init__(self, runs: int, graph: Any, launch: Work, release: Callable[[], None]) -> None:
        self.runs, self.graph, self.launch, self._release = runs, graph, launch, release

    def release(self) -> None:
        del self.graph, self.launch  # before the memory that it works in
        self._release()


def capture(xp: Any, work: Work, runs: int) -> CapturedWork:
    """The work by the library xp, which has run before: a capture must not build kernels.

    Raises: NotCaptured where the library refuses it.
    """
    cuda = xp.cuda
    pool, stream = cuda.MemoryPool(), cuda.Stream(non_blocking=True)  # the default stream cannot be captured
    try:
        with cuda.using_allocator(pool.malloc), stream:
            stream.begin_capture()
            try:
                for _ in range(runs):
                    work()
            except BaseException:
                with suppress(Exception):  # CUDA may complain about the broken capture
                    stream.end_capture()
                raise
            graph = stream.end_capture()
    except Exception as error:
        pool.free_all_blocks()
        raise NotCaptured(first_line(error)) from None
    return CapturedWork(runs, graph, graph.launch, pool.free_all_blocks)


def capture_torch(torch: Any, work: Work, runs: int) -> CapturedWork:
    """The work by PyTorch, which has run before on the current stream; that one is not the default stream.

    Raises: NotCaptured where PyTorch refuses it.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            for _ in range(runs):
                work()
    except Exception as error:
        raise NotCaptured(first_line(error)) from None
    return CapturedWork(runs, graph, graph.replay, graph.reset)
