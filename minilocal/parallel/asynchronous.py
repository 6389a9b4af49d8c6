"""The rank's part of asynchronous training: every rank draws the same workers, and works where it has the module.

A worker's output goes into the buffer of the rank that has the module above, with its images and labels: they may be
those of an earlier batch. It is received at the same draw at which it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minilocal.array import Array
from minilocal.engine.asynchronous import AsynchronousEngine, BufferEntry
from minilocal.engine.module import Module, OnGradients, Saved, shapes
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.parallel.segment import Segment
from minilocal.rules.compose import Rule


class AsynchronousRank(AsynchronousEngine):
    """The asynchronous engine of a segment, between its neighbours."""

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array], segment: Segment) -> None:
        super().__init__(modules, rule, arrays)
        self.own, self.below, self.above = segment

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64, NaN for the workers of other ranks and for those that were not drawn."""
        self.image, self.dtypes = batch.x.shape[1:], (batch.x.dtype, batch.x.dtype, batch.y.dtype)
        return super().step(batch, ctx, on_gradients, update_stats)

    def flush(self) -> None:
        """Nothing crosses late."""

    def _push(self, j: int, entry: BufferEntry) -> None:
        if j != self.own.stop - 1 or self.above is None:
            super()._push(j, entry)
            return
        self.above.send_number(len(entry.h))
        if len(entry.h) >= self.full:
            for array in (entry.h, entry.batch.x, entry.batch.y):
                self.above.send(array)

    def _follow(self, j: int) -> None:
        if j != self.own.start - 1 or self.below is None:
            return
        images = self.below.receive_number()
        if images >= self.full:
            rows = (shapes(self.modules, self.image)[j][1], self.image, ())
            h, x, y = (self.below.receive((images, *row), dtype) for row, dtype in zip(rows, self.dtypes, strict=True))
            super()._push(j, BufferEntry(h, Batch(x, y)))

    def state(self) -> dict[str, np.ndarray]:
        """The draws so far, and the buffers of this rank's modules."""
        own = {f"{j - 1}" for j in self.own if j > 0}
        return {name: a for name, a in super().state().items() if ":" not in name or name.split(":")[0] in own}

    def restore(self, saved: Saved, image: Shape) -> None:
        """Continue from a `state()` of one process, or of all ranks together.

        Raises: UserError where it is of another rule or network; then nothing has changed.
        """
        super().restore(saved, image)
        for b, buffer in enumerate(self.buffers):
            if b + 1 not in self.own:
                buffer.entries = []
