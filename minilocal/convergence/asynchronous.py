"""g_{w_t}(ξ) of asynchronous modules (DGL): what worker j applies when it is drawn next, and how often it is drawn.

    h_{j-1} = f_{j-1}(... f_1(ξ; v_1) ...; v_{j-1})        v: the weights that made the activation in the buffer
    g_j = (p_j / p_0) ∇_{w_j} L_j(f_j(h_{j-1}; w_j))       p_j / p_0: the mean number of its draws in a step

A step ends when worker 0 is drawn. E[g] is given w_t and the weights v that made the entries of the buffers. It is over
the batches, and over the draws until worker j's turn, which decide which entry it reads. Every entry therefore carries
the weights that made it. A copy of the Learner is trained further until these are known of all entries, and all
buffers are full.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

import numpy as np

from minilocal.array import Array
from minilocal.convergence.copies import Batches, TrainingCopy, further
from minilocal.engine import AsynchronousEngine, Module
from minilocal.engine.asynchronous import Buffer, BufferEntry
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.objectives import Batch

Origin = list[Mapping[str, Array]]  # of an activation: the parameters of each module that made it, first to last


@dataclass
class TracedEntry(BufferEntry):
    """An entry of a buffer, and the parameters that made it."""

    origin: Origin = field(default_factory=list)


@dataclass
class Source:
    """What a worker would read: the origin of an activation, and how often it has been used."""

    origin: Origin
    uses: int = 1


class TracingEngine(AsynchronousEngine):
    """The engine of asynchronous modules; with each entry of a buffer it keeps the parameters that made it."""

    _origin: Origin | None = None

    def _work(self, j: int, entry: BufferEntry, *rest: Any) -> Array:
        known = entry.origin if isinstance(entry, TracedEntry) else [] if j == 0 else None
        own = {name: self.arrays[name].copy() for name in self.modules[j].parameters()}
        self._origin = None if known is None else [*known, own]
        return super()._work(j, entry, *rest)

    def _push(self, j: int, entry: BufferEntry) -> None:
        traced = entry if self._origin is None else TracedEntry(entry.h, entry.batch, origin=self._origin)
        super()._push(j, traced)

    @property
    def all_traced(self) -> bool:
        """Whether all buffers are full, of entries whose origin is known."""
        return all(
            len(buffer.entries) == buffer.size and all(isinstance(entry, TracedEntry) for entry in buffer.entries)
            for buffer in self.buffers
        )


class AsynchronousGradients:
    """What each worker applies at the weights `arrays`, w_t, on average over its draws."""

    def __init__(self, learner: Learner, engine: AsynchronousEngine, batches: Batches, lr: float) -> None:
        self.modules, self.when = learner.modules, engine.when
        traced = trained_further(learner, engine, batches, lr)
        self.arrays: Mapping[str, Array] = traced.arrays
        self.draws = sum(traced.updates)
        self.buffers: list[Buffer[Source]] = [Buffer(buffer.size) for buffer in traced.buffers]
        for buffer, of_engine in zip(self.buffers, traced.buffers, strict=True):
            buffer.entries = [Source(cast(TracedEntry, entry).origin, entry.uses) for entry in of_engine.entries]

    def gradients(self, batch: Batch, ctx: PassContext) -> dict[str, Array]:
        """g_{w_t}(ξ), every worker's; the draws until its turn are named by `ctx`."""
        grads: dict[str, Array] = {}
        shares = self.when.shares(len(self.modules))
        for j, origin in self.next_origins(ctx.rng("draw")).items():
            h = batch.x
            for module, weights in zip(self.modules, origin, strict=False):
                h = module.forward(h, ctx, weights, False, keep=False)[0]
            grads |= scaled(self._worker(self.modules[j], h, batch, ctx), shares[j] / shares[0])
        return grads

    def next_origins(self, rng: np.random.Generator) -> dict[int, Origin]:
        """{worker: the origin of the activation that it reads when it is drawn next}, over draws by `rng`."""
        buffers, workers = [copied(buffer) for buffer in self.buffers], len(self.modules)
        origins: dict[int, Origin] = {}
        for number in count(self.draws):
            j = self.when.draw(rng, number, workers)
            origin = buffers[j - 1].read().origin if j > 0 else []
            origins.setdefault(j, origin)
            if len(origins) == workers:
                return origins
            if j < len(buffers):
                buffers[j].push(Source([*origin, self.arrays]))
        raise AssertionError("every worker is drawn at some time")

    def _worker(self, module: Module, h: Array, batch: Batch, ctx: PassContext) -> dict[str, Array]:
        """The gradients of one worker at w_t: forward, local loss and backward."""
        h, caches = module.forward(h, ctx, self.arrays, False)
        _, error, grads = module.local_loss(h, batch, ctx, self.arrays, False)
        module.backward(error, caches, self.arrays, False, lambda u, of_unit: grads.update(of_unit))
        return grads


def trained_further(learner: Learner, engine: AsynchronousEngine, batches: Batches, lr: float) -> TracingEngine:
    """An engine that has trained a copy of the Learner until its buffers are full of traced entries."""
    training = TrainingCopy(learner, lr)
    traced = TracingEngine(learner.modules, learner.rule, training.arrays)
    traced.updates, traced.buffers = list(engine.updates), [copied(buffer) for buffer in engine.buffers]
    steps = further(learner, batches)
    while not traced.all_traced:
        batch, ctx = next(steps)
        traced.step(batch, ctx, training.update, False)
    return traced


def copied(buffer: Buffer[Any]) -> Buffer[Any]:
    """A buffer of the same entries, with counts of its own."""
    other = copy(buffer)
    other.entries = [replace(entry) for entry in buffer.entries]
    return other


def scaled(grads: Mapping[str, Array], rate: float) -> dict[str, Array]:
    """The gradients times a number."""
    return dict(grads) if rate == 1 else {name: rate * g for name, g in grads.items()}
