"""A training step on a device: one update at its end, and the whole step as a CUDA graph where it can be recorded.

A step of many modules is thousands of small kernels, and launching one takes the host longer than the GPU needs to run
it. A graph launches them all at once. It repeats what was recorded, address by address. So whatever changes from step
to step has a fixed place on the device: images and labels, the learning rate, epoch and step. What the recorded step
allocates lies in memory of its own (graph_memory.py).

The first step of a kind runs eagerly: kernels are built, velocities allocated. The second one is recorded, which runs
nothing, and then launched, as all later ones are. A kind is a phase (PGL has two) and a shape. Batches smaller than the
largest one run eagerly. Where a recording is refused or has no room, its step runs eagerly, and so do all after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple
from weakref import finalize

from minilocal.array import Array
from minilocal.engine.around import Engine, EngineAround
from minilocal.engine.graph_memory import GraphMemory
from minilocal.engine.hooks import unhooked
from minilocal.engine.module import Module, OnGradients, Saved
from minilocal.engine.out_of_memory import OutOfMemory
from minilocal.errors import UserError, first_line
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule
from minilocal.rules.when import When

Work = Callable[[Array, Array], Array]  # a step on images and labels; returns its losses, and reads no result
Kind = tuple[bool, tuple[int, ...], Any]  # of a step: the phase, and the shape and type of images and labels


class RecordedStep(NamedTuple):
    """A graph, the array that it writes the losses to, and the arrays that it reads images and labels from."""

    graph: Any
    losses: Array
    x: Array
    y: Array


class RecordedSteps(EngineAround):
    """Training steps of `engine` through `modules`, on the library `xp`, recorded unless `refused` says why not.

    lr    η (1,), of the network's type        clock   (epoch, step), int64 (2,)        neither ever moves in memory
    `prepare` makes the optimiser's arrays of the parameters that it is given.
    """

    def __init__(
        self,
        engine: Engine,
        modules: Sequence[Module],
        when: When,
        xp: Any,
        dtype: str,
        prepare: Callable[[Iterable[str]], None],
        refused: str = "",
    ) -> None:
        super().__init__(engine)
        self._prepare = prepare
        self.modules, self.when, self.xp, self.refused = modules, when, xp, refused
        self.lr, self.clock = xp.zeros(1, dtype), xp.zeros(2, xp.int64)
        self.images = 0  # in the largest batch
        self._built: set[Kind] = set()  # whose kernels are built
        self._updated: dict[bool, set[str]] = {}  # of a phase, the parameters that have a gradient
        self._prepared: set[bool] = set()  # phases
        self._seen: set[Kind] = set()  # after its eager step
        self._recorded: dict[Kind, RecordedStep] = {}
        self._memory = GraphMemory(xp)
        finalize(self, _drop, self._recorded, self._memory).atexit = False  # the driver frees what a process leaves

    def reset(self) -> None:
        """Drop every graph, and give its memory back."""
        self._seen.clear()
        _drop(self._recorded, self._memory)

    def restore(self, saved: Saved, image: Shape) -> None:
        super().restore(saved, image)
        self.reset()  # the optimiser's arrays move
        self._prepared.clear()

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

        phase = self.when.is_global(ctx.epoch)
        kind = (phase, batch.x.shape, batch.y.dtype)
        self._build_kernels(kind, batch, ctx)
        if not update_stats:
            return work(*batch)
        self._prepare_update(phase)
        return self._replayed(kind, *batch, work)

    def _build_kernels(self, kind: Kind, batch: Batch, ctx: PassContext) -> None:
        """Build what steps of this kind launch, once, without a step: no hook sees its numbers."""
        if kind not in self._built and hasattr(self.xp, "RawKernel") and hasattr(self.xp, "cuda"):
            from minilocal.kernels.cuda.build import build_kernels  # on use: a CPU needs none of it
            from minilocal.kernels.cuda.last_block import counters_of

            counters_of(self.xp)  # they stay: made in the step, they would hold on to a block that is let go
            names = self._updated.setdefault(kind[0], set())
            with unhooked(self.modules):
                build_kernels(lambda: self.engine.step(batch, ctx, names.update, False), self.xp)
        self._built.add(kind)

    def _prepare_update(self, phase: bool) -> None:
        """Make what stays of a phase's first update now: it must not lie in a block that is to be let go."""
        if phase in self._updated and phase not in self._prepared:
            self._memory.clear_default()
            self._prepare(self._updated[phase])
            self._prepared.add(phase)

    def _replayed(self, kind: Kind, x: Array, y: Array, work: Work) -> Array:
        """The losses of `work(x, y)`, from a graph where there is one."""
        if len(x) > self.images:
            self.images = len(x)
            self.reset()
        if self.refused or len(x) < self.images:
            return self._eager(x, y, work)
        if kind not in self._seen:
            self._seen.add(kind)
            self._memory.clear_default()
            return self._eager(x, y, work)
        if kind not in self._recorded and not self._record(kind, x, y, work):
            return work(x, y)
        step = self._recorded[kind]
        step.x[...] = x
        step.y[...] = y
        step.graph.launch()
        return step.losses.copy()

    def _eager(self, x: Array, y: Array, work: Work) -> Array:
        """The losses of `work(x, y)`. The graphs are dropped where there is no room for a step beside them."""
        if self._recorded and not self._memory.fits_beside():
            self.reset()
        return work(x, y)

    def _record(self, kind: Kind, x: Array, y: Array, work: Work) -> bool:
        """Whether a step of this kind has been recorded; else `refused` says why not.

        Raises: UserError where the step itself raises one, but for a lack of memory.
        """
        self.refused = self._memory.refusal(x.nbytes + y.nbytes)
        if self.refused:
            return False
        self._memory.clear_default()
        try:
            x, y = x.copy(), y.copy()
            self._recorded[kind] = RecordedStep(*self._captured(partial(work, x, y)), x, y)
        except Exception as error:
            if isinstance(error, UserError) and not isinstance(error, OutOfMemory):
                raise
            self.refused = _reason(error)
        if self.refused:
            self.reset()  # once `error` is gone, which holds arrays of the step
        return not self.refused

    def _captured(self, work: Callable[[], Array]) -> tuple[Any, Array]:
        """The graph of `work()`, and its losses."""
        with self._memory.recording() as stream:
            stream.begin_capture()
            try:
                losses = work()
            except BaseException:
                with suppress(Exception):  # CUDA may complain about the broken recording
                    stream.end_capture()
                raise
            return stream.end_capture(), losses

    def describe(self) -> str:
        """In a line: what is recorded, and what is not."""
        if self.refused:
            return f"steps run eagerly: {self.refused}"
        if not self._recorded:
            return "steps of full batches will be recorded as CUDA graphs, from the second on; smaller ones run eagerly"
        return f"steps of {self.images} images are recorded as CUDA graphs; smaller batches run eagerly"


def _drop(recorded: dict[Kind, RecordedStep], memory: GraphMemory) -> None:
    """Drop the graphs, and then the memory that they work in."""
    recorded.clear()
    memory.release()


def _reason(error: Exception) -> str:
    """Why a recording failed, in a line."""
    if isinstance(error, (MemoryError, OutOfMemory)) or "cudaErrorMemoryAllocation" in str(error):
        return "the GPU has no room for a graph, and ran out of memory while a step was recorded"
    if isinstance(error, NotImplementedError):  # a call of cuBLAS
        return f"CuPy cannot record it ({error})"
    return f"it cannot be recorded ({first_line(error)})"


def refusal(xp: Any, wanted: bool, rule: Rule, engine: Engine, optimizer: object) -> str:
    """Why no step is recorded as a CUDA graph; nothing where it is tried."""
    if not wanted:
        return "cuda_graph is off"
    if engine.holds_batches:
        return f"{rule.name} holds batches over from step to step"
    if rule.boundary.averages is not None and rule.boundary.averages.every > 1:
        return f"{rule.name} averages weights every {rule.boundary.averages.every} steps"
    if not getattr(optimizer, "recordable", False):
        return f"{type(optimizer).__name__} counts its steps on the host"
    return "" if hasattr(xp, "cuda") else f"{xp.__name__} has no CUDA graphs"
