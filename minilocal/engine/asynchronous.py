"""Asynchronous modules: one is drawn at a time, and learns from what the module below left in a buffer earlier.

Belilovsky, Eickenberg and Oyallon, "Decoupled Greedy Learning of CNNs", asynchronous DGL, as in its public code.

    until worker 0 has taken this step's batch
        draw a worker j                                           0, 0, 1, 1, 2, 2, ... at first; then at random
        j = 0: the fresh batch      j > 0: a batch out of buffer j-1, the least used, of those the most recent
        h_j = f_j(h_{j-1});   L_j, e_j = local loss of h_j;   backward of e_j through module j
        buffer j stores (h_j, batch) over its oldest entry        h_j as it was before the update

No error passes a boundary. An input may come from old weights of the module below; its labels are always its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Generic, Protocol, TypeVar, cast

import numpy as np

from minilocal.array import Array, host_copy, namespace
from minilocal.engine.module import Module, OnGradients, Saved, saved_array, shapes
from minilocal.errors import UserError
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule
from minilocal.rules.when import Asynchronous
from minilocal.tree import tree_leaves


@dataclass
class BufferEntry:
    """An output of one module, h (N, ...), the batch that it was computed from, and how often it has been used."""

    h: Array
    batch: Batch
    uses: int = 1


class Used(Protocol):
    """Anything that counts its uses."""

    uses: int


Entry = TypeVar("Entry", bound=Used)


class Buffer(Generic[Entry]):
    """A ring of at most `size` entries, the oldest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: list[Entry] = []

    def push(self, entry: Entry) -> None:
        """Store a new entry; where the buffer is full, over the oldest."""
        self.entries = [*self.entries, entry][-self.size :]

    def read(self) -> Entry:
        """The most recent of the least used entries. Its use is counted."""
        entry = min(reversed(self.entries), key=lambda e: e.uses)
        entry.uses += 1
        return entry


class AsynchronousEngine:
    """The engine of asynchronous modules. Between steps it holds the replay buffers and the workers' update counts."""

    holds_batches = True

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        self.modules, self.arrays, self.when = modules, arrays, cast(Asynchronous, rule.when)
        slowed = self.when.slowed
        if slowed is not None and slowed >= len(modules):
            raise UserError(f"slowed = {slowed}, but {len(modules)} modules have workers 0 to {len(modules) - 1}.")
        self.own = range(len(modules))  # the modules that this process trains
        self.updates = [0] * len(modules)
        self.full = 0  # images in a full batch: the first one
        self.buffers: list[Buffer[BufferEntry]] = [Buffer(self.when.entries) for _ in modules[1:]]

    @property
    def batches_in_flight(self) -> list[int]:
        """None at any module: no batch waits for an error."""
        return [0] * len(self.modules)

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64: for each worker the mean over its draws in this step, NaN where it was not drawn.

        Raises: OutOfMemory.
        """
        xp = namespace(batch.x)
        fresh = Batch(batch.x.copy(), batch.y.copy())  # the buffers may hold it for longer than the caller does
        self.full = self.full or len(batch.x)
        rng = ctx.rng("draw")
        of_workers: list[list[Array]] = [[] for _ in self.modules]
        for number in count():
            j = self.when.draw(rng, sum(self.updates), len(self.modules))
            if j in self.own:
                entry = self.buffers[j - 1].read() if j > 0 else BufferEntry(fresh.x, fresh)
                of_workers[j].append(self._work(j, entry, replace(ctx, part=number), on_gradients, update_stats))
            else:
                self._follow(j)
            self.updates[j] += 1
            if j == 0:
                break
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        for j, of_worker in enumerate(of_workers):
            if of_worker:
                losses[j] = sum(of_worker) * (1 / len(of_worker))
        return losses

    def _work(
        self, j: int, entry: BufferEntry, ctx: PassContext, on_gradients: OnGradients, update_stats: bool
    ) -> Array:
        """Worker j's loss of one batch, after its update. Its output goes into the buffer above."""
        module, p = self.modules[j], self.arrays
        h, caches = module.forward(entry.h, ctx, p, update_stats)
        if j < len(self.buffers):
            self._push(j, BufferEntry(namespace(h).ascontiguousarray(h), entry.batch))
        loss, error, grads = module.local_loss(h, entry.batch, ctx, p, update_stats)
        on_gradients(grads)
        module.backward(error, caches, p, False, lambda u, grads: on_gradients(grads))
        return loss

    def _push(self, j: int, entry: BufferEntry) -> None:
        """Worker j's output into the buffer above it; a batch that is not full is not stored."""
        if len(entry.h) >= self.full:
            self.buffers[j].push(entry)

    def _follow(self, j: int) -> None:
        """The turn of a worker of another process: there is none."""

    def memory_advice(self, images: Array, epoch: int) -> str:
        """Nothing: what is held depends on the buffers, not on one batch."""
        return ""

    def held_arrays(self) -> list[list[Array]]:
        """The entries of the buffer that each module reads; the first one has none."""
        return [[], *(tree_leaves([(e.h, e.batch) for e in buffer.entries]) for buffer in self.buffers)]

    def finish(self, on_gradients: OnGradients) -> None:
        """No gradient is left to come: entries of the buffers would only be used again."""

    def state(self) -> dict[str, np.ndarray]:
        """The buffers with their use counts, the workers' update counts, and the size of a full batch."""
        saved = {"updates": host_copy(self.updates), "full": host_copy(self.full)}
        for b, buffer in enumerate(self.buffers):
            saved[f"{b}:uses"] = host_copy([e.uses for e in buffer.entries], int)
            for i, e in enumerate(buffer.entries):
                arrays = {"h": e.h, "x": e.batch.x, "y": e.batch.y}
                saved |= {f"{b}:{i}:{name}": host_copy(a) for name, a in arrays.items()}
        return saved

    def restore(self, saved: Saved, image: Shape) -> None:
        """Continue from a `state()`.

        Raises: UserError where it is of a rule with larger buffers, or none, or of another network; then nothing has
        changed.
        """
        lengths = [len(saved.get(f"{b}:uses", ())) for b in range(len(self.buffers))]
        if "updates" not in saved or max(lengths, default=0) > self.when.entries:
            size = self.when.entries
            raise UserError(f"this checkpoint does not fit buffers of {size} batches: it is of another rule.")
        xp, tops = namespace(next(iter(self.arrays.values()))), [top for _, top in shapes(self.modules, image)]
        updates = [int(n) for n in saved_array(saved, "updates", (len(self.modules),), "iu")]
        held: list[list[BufferEntry]] = []
        for b in range(len(self.buffers)):
            held.append([])
            for i, uses in enumerate(saved_array(saved, f"{b}:uses", None, "iu")):
                images = len(saved_array(saved, f"{b}:{i}:y", None, "iu"))
                shapes_of = {"h": (images, *tops[b]), "x": (images, *image), "y": (images,)}
                h, x, y = (
                    xp.array(saved_array(saved, f"{b}:{i}:{name}", shape, "iu" if name == "y" else "f"))
                    for name, shape in shapes_of.items()
                )
                held[b].append(BufferEntry(h, Batch(x, y), int(uses)))
        self.updates, self.full = updates, int(saved_array(saved, "full", (), "iu"))
        for buffer, entries in zip(self.buffers, held, strict=True):
            buffer.entries = entries
