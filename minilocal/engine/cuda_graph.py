"""A training step on a device: one update at its end, and the whole step as a CUDA graph where it can be recorded.

A step of many modules is thousands of small kernels, and launching one takes the host longer than the GPU needs to run
it. A graph launches them all at once. It repeats what was recorded, address by address. So whatever changes from step
to step has a fixed place on the device: images and labels, the learning rate, epoch and step. What the recorded step
allocates comes from a memory pool of its own, which lives as long as the graphs do.

The first step of a kind runs eagerly: kernels are built, velocities allocated. The second one is recorded, which runs
nothing, and then launched, as all later ones are. A kind is a phase (PGL has two) and a shape. Batches of another size
than the first one run eagerly, and so does everything once a recording has been refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from minilocal.array import Array
from minilocal.engine.around import Engine, EngineAround
from minilocal.engine.module import OnGradients, Saved
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.when import When

Work = Callable[[Array, Array], Array]  # a step on images and labels; returns its losses, and reads no result


class RecordedStep(NamedTuple):
    """A graph, the arrays that it reads images and labels from, and the array that it writes the losses to."""

    graph: Any
    x: Array
    y: Array
    losses: Array


class RecordedSteps(EngineAround):
    """Training steps of `engine` on the library `xp`, recorded unless `refused` says why not.

    lr    η (1,), of the network's type        clock   (epoch, step), int64 (2,)        neither ever moves in memory
    """

    def __init__(self, engine: Engine, when: When, xp: Any, dtype: str, refused: str = "") -> None:
        super().__init__(engine)
        self.when, self.xp, self.refused = when, xp, refused
        self.lr, self.clock = xp.zeros(1, dtype), xp.zeros(2, xp.int64)
        self.images = 0  # in a batch of the usual size: the first one
        self.reset()

    def reset(self) -> None:
        """Drop every graph: an array that it reads or writes has moved."""
        self._seen: set[Any] = set()
        self._recorded: dict[Any, RecordedStep] = {}
        self._pool: Any = None

    def restore(self, saved: Saved, image: Shape) -> None:
        super().restore(saved, image)
        self.reset()

    def set_step(self, lr: float, ctx: PassContext) -> tuple[Array, PassContext]:
        """The learning rate and the context of the next step, read from the device.

        The numbers travel in the launch of a kernel, so no copy is waited for.
        """
        self.lr.fill(lr)
        self.clock[0] = ctx.epoch
        self.clock[1] = ctx.step
        return self.lr, replace(ctx, clock=self.clock)

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """As the inner engine's step. Gradients come in one call at the end, so that one launch updates the weights.

        x and y may be overwritten afterwards.
        """
        if self.engine.holds_batches:
            return self.engine.step(batch, ctx, on_gradients, update_stats)

        def work(x: Array, y: Array) -> Array:
            grads: dict[str, Array] = {}
            losses = self.engine.step(Batch(x, y), ctx, grads.update, update_stats)
            on_gradients(grads)
            return losses

        return self._replayed(*batch, self.when.is_global(ctx.epoch), work) if update_stats else work(*batch)

    def _replayed(self, x: Array, y: Array, phase: bool, work: Work) -> Array:
        """The losses of `work(x, y)`, from a graph where there is one."""
        self.images = self.images or len(x)
        kind = (phase, x.shape, y.dtype)
        if self.refused or len(x) != self.images:
            return work(x, y)
        if kind not in self._seen:
            self._seen.add(kind)
            return work(x, y)
        if kind not in self._recorded:
            recorded = self._record(x, y, work)
            if recorded is None:
                return work(x, y)
            self._recorded[kind] = recorded
        step = self._recorded[kind]
        step.x[...] = x
        step.y[...] = y
        step.graph.launch()
        return step.losses.copy()

    def _record(self, x: Array, y: Array, work: Work) -> RecordedStep | None:
        """The recording of a step; None where the library refuses to record something in it."""
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
        self.xp.get_default_memory_pool().free_all_blocks()  # what the eager step took, and nothing needs now
        return None if losses is None or graph is None else RecordedStep(graph, x, y, losses)

    def describe(self) -> str:
        """In a line: what is recorded, and what is not."""
        if self.refused:
            return f"steps run eagerly: {self.refused}"
        return "steps of full batches are recorded as CUDA graphs, one a phase; smaller batches run eagerly"


def refusal(xp: Any, wanted: bool, rule: str, engine: Engine, optimizer: object) -> str:
    """Why no step is recorded as a CUDA graph; nothing where it is tried."""
    if not wanted:
        return "cuda_graph is off"
    if engine.holds_batches:
        return f"{rule} holds batches over from step to step"
    if not getattr(optimizer, "recordable", False):
        return f"{type(optimizer).__name__} counts its steps on the host"
    return "" if hasattr(xp, "cuda") else f"{xp.__name__} has no CUDA graphs"


def _end(stream: Any, broken: bool) -> Any:
    """The graph; None where the recording was broken off, which CUDA may complain about too."""
    try:
        return stream.end_capture()
    except Exception:
        if not broken:
            raise
        return None
