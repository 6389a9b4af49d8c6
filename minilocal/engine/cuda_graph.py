"""A training step as a CUDA graph: recorded once, then started as a whole.

A step of many modules is thousands of small kernels, and to start one takes the host longer than the GPU needs to run
it. A graph starts them all at once. It repeats what was recorded, address by address, so whatever changes from step to
step lies in fixed places on the device: images and labels, the learning rate, epoch and step. Everything that the
recorded step allocates comes from a pool of its own, which lives as long as the graphs do.

The first step of a kind runs as ever: kernels are built, velocities made. The second one is recorded, which runs
nothing, and then started, as all later ones are. A kind is the phase (PGL has two); batches of another size than the
first one run eagerly, and so does everything once a recording has been refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from minilocal.array import Array

Work = Callable[[Array, Array], Array]  # a step on images and labels; returns its losses, and reads no result


class RecordedStep(NamedTuple):
    """A recorded step: the graph, where it reads images and labels, and where it leaves the losses."""

    graph: Any
    x: Array
    y: Array
    losses: Array


class CudaGraphRecorder:
    """Steps of one Learner on the library `xp`; `refused` says why nothing is recorded, and is empty otherwise.

    rate    η (1,), of the network's type        clock   (epoch, step), int64 (2,)        both never move
    """

    def __init__(self, xp: Any, dtype: str, refused: str = "") -> None:
        self.xp, self.refused = xp, refused
        self.rate, self.clock = xp.zeros(1, dtype), xp.zeros(2, xp.int64)
        self.images = 0  # in a batch of the usual size: the first one
        self.reset()

    def reset(self) -> None:
        """Drops every graph: what they read or write has moved."""
        self._met: set[Any] = set()
        self._tapes: dict[Any, RecordedStep] = {}
        self._pool: Any = None

    def set_step(self, rate: float, epoch: int, step: int) -> None:
        """Sets what changes between steps. The numbers travel in the launch of a kernel: nobody waits for a copy."""
        self.rate.fill(rate)
        self.clock[0] = epoch
        self.clock[1] = step

    def step(self, x: Array, y: Array, phase: Any, work: Work) -> Array:
        """The losses of `work(x, y)`, from a graph where there is one. x and y may be overwritten afterwards."""
        self.images = self.images or len(x)
        kind = (phase, x.shape, y.dtype)
        if self.refused or len(x) != self.images:
            return work(x, y)
        if kind not in self._met:
            self._met.add(kind)
            return work(x, y)
        if kind not in self._tapes:
            tape = self._record(x, y, work)
            if tape is None:
                return work(x, y)
            self._tapes[kind] = tape
        tape = self._tapes[kind]
        tape.x[...] = x
        tape.y[...] = y
        tape.graph.launch()
        return tape.losses.copy()

    def _record(self, x: Array, y: Array, work: Work) -> RecordedStep | None:
        """The tape of a step; None where the library refuses to record something in it."""
        cuda = self.xp.cuda
        self._pool = self._pool or cuda.MemoryPool()
        x, y = x.copy(), y.copy()
        stream = cuda.Stream(non_blocking=True)  # the default one cannot be recorded
        with cuda.using_allocator(self._pool.malloc), stream:
            losses = None
            stream.begin_capture()
            try:
                losses = work(x, y)
            except NotImplementedError as reason:  # CuPy records no call of cuBLAS
                self.refused = f"CuPy cannot record it ({reason})"
            finally:
                graph = _end(stream, broken=losses is None)
        self.xp.get_default_memory_pool().free_all_blocks()  # what the eager step took, and nobody needs now
        return None if losses is None or graph is None else RecordedStep(graph, x, y, losses)

    def describe(self) -> str:
        """In a line: what is recorded, and what is not."""
        if self.refused:
            return f"steps run eagerly: {self.refused}"
        return "steps of full batches are recorded as CUDA graphs, one a phase; smaller batches run eagerly"


def _end(stream: Any, broken: bool) -> Any:
    """The graph; None where the recording was broken off, which CUDA may complain about too."""
    try:
        return stream.end_capture()
    except Exception:
        if not broken:
            raise
        return None
