"""Workers that are drawn: one module works at a time, on what the module below left in a buffer some time ago.

Belilovsky, Eickenberg and Oyallon, "Decoupled Greedy Learning of CNNs", asynchronous DGL, as in its public code.

    until worker 0 has taken this step's batch
        draw a worker j                                           0, 0, 1, 1, 2, 2, ... at first; then by chance
        j = 0: the fresh batch      j > 0: a batch out of buffer j-1, the least used, of those the most recent
        h_j = f_j(h_{j-1});   L_j, e_j = objective of h_j;   e_j walks down module j
        buffer j takes (h_j, batch) over its oldest entry         h_j as it was before the update

No error crosses. An input may stem from old weights of the module below; its labels are always its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from minilocal.array import Array, host_copy, namespace
from minilocal.engine.module import Module, OnGradients, Saved, saved_array, shapes
from minilocal.errors import UserError
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule
from minilocal.rules.when import Asynchronous


@dataclass
class BufferEntry:
    """What one module has handed up: h (N, ...), the batch that it was made of, and how often it has been used."""

    h: Array
    batch: Batch
    uses: int = 1


class Buffer:
    """A ring of at most `size` entries, the oldest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: list[BufferEntry] = []

    def push(self, entry: BufferEntry) -> None:
        """Takes a new entry; where it is full, over the oldest."""
        self.entries = [*self.entries, entry][-self.size :]

    def read(self) -> BufferEntry:
        """The most recent of those used least, once more used."""
        entry = min(reversed(self.entries), key=lambda e: e.uses)
        entry.uses += 1
        return entry


class AsynchronousEngine:
    """The engine of drawn workers. Between steps it holds the buffers, and how often each worker has worked."""

    holds_batches = True

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        assert isinstance(rule.when, Asynchronous)
        slowed = rule.when.slowed
        if slowed is not None and slowed >= len(modules):
            raise UserError(f"slowed = {slowed}, but {len(modules)} modules have workers 0 to {len(modules) - 1}.")
        self.modules, self.arrays, self.when = modules, arrays, rule.when
        self.updates = [0] * len(modules)
        self.full = 0  # images in a full batch: the first one
        self.buffers = [Buffer(rule.when.entries) for _ in modules[1:]]

    @property
    def in_flight(self) -> list[int]:
        """No batch awaits an error."""
        return [0] * len(self.modules)

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64: of each worker the mean over its draws in this step, NaN where it was not drawn."""
        xp = namespace(batch.x)
        fresh = Batch(batch.x.copy(), batch.y.copy())  # it may stay in the buffers for longer than the caller keeps it
        self.full = self.full or len(batch.x)
        chance = ctx.rng("draw")
        heard: list[list[Array]] = [[] for _ in self.modules]
        for number in count():
            j = self.when.draw(chance, sum(self.updates), len(self.modules))
            here = self.buffers[j - 1].read() if j > 0 else BufferEntry(fresh.x, fresh)
            heard[j].append(self._work(j, here, replace(ctx, part=number), on_gradients, update_stats))
            if j == 0:
                break
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        for j, own in enumerate(heard):
            if own:
                losses[j] = sum(own) * (1 / len(own))
        return losses

    def _work(
        self, j: int, here: BufferEntry, ctx: PassContext, on_gradients: OnGradients, update_stats: bool
    ) -> Array:
        """Worker j's update from one batch; what its module hands up goes into the buffer above. Returns its loss."""
        module, p = self.modules[j], self.arrays
        h, caches = module.forward_all(here.h, ctx, p, update_stats)
        if j < len(self.buffers) and len(h) >= self.full:
            self.buffers[j].push(BufferEntry(namespace(h).ascontiguousarray(h), here.batch))
        loss, error, grads = module.local_loss(h, here.batch, ctx, p, update_stats)
        on_gradients(grads)
        module.backward(error, caches, p, False, lambda u, g: on_gradients(g))
        self.updates[j] += 1
        return loss

    def finish(self, on_gradients: OnGradients) -> None:
        """Nothing waits for an error: what lies in the buffers would only be used again."""

    def state(self) -> dict[str, np.ndarray]:
        """The buffers with their use counts, the workers' updates, and what a full batch is."""
        saved = {"updates": host_copy(self.updates), "full": host_copy(self.full)}
        for b, buffer in enumerate(self.buffers):
            saved[f"{b}:uses"] = host_copy([e.uses for e in buffer.entries], int)
            for i, e in enumerate(buffer.entries):
                arrays = {"h": e.h, "x": e.batch.x, "y": e.batch.y}
                saved |= {f"{b}:{i}:{name}": host_copy(a) for name, a in arrays.items()}
        return saved

    def restore(self, saved: Saved, image: Shape) -> None:
        """Goes on from a `state()`.

        Raises: UserError where it is of a rule with larger buffers, or none, or of another network; then nothing has
        changed.
        """
        lengths = [len(saved.get(f"{b}:uses", ())) for b in range(len(self.buffers))]
        if "updates" not in saved or max(lengths, default=0) > self.when.entries:
            size = self.when.entries
            raise UserError(f"this checkpoint does not fit buffers of {size} batches: it is of another rule.")
        xp, tops = namespace(next(iter(self.arrays.values()))), [top for _, top in shapes(self.modules, image)]
        updates = [int(n) for n in saved_array(saved, "updates", (len(self.modules),))]
        held: list[list[BufferEntry]] = []
        for b in range(len(self.buffers)):
            held.append([])
            for i, uses in enumerate(saved_array(saved, f"{b}:uses")):
                images = len(saved_array(saved, f"{b}:{i}:y"))
                form = {"h": (images, *tops[b]), "x": (images, *image), "y": (images,)}
                h, x, y = (xp.array(saved_array(saved, f"{b}:{i}:{name}", shape)) for name, shape in form.items())
                held[b].append(BufferEntry(h, Batch(x, y), int(uses)))
        self.updates, self.full = updates, int(saved_array(saved, "full", ()))
        for buffer, entries in zip(self.buffers, held, strict=True):
            buffer.entries = entries
