"""Gradient accumulation: one step from the mean gradient of several micro-batches.

g = Σ_i (n_i / N) g_i        of m micro-batches of n_i images, N in all, each with its own batch statistics
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minilocal.array import Array
from minilocal.engine.around import EngineAround
from minilocal.engine.module import OnGradients
from minilocal.engine.synchronous import SynchronousEngine
from minilocal.kernels.threads import partition
from minilocal.layers import PassContext
from minilocal.objectives import Batch


class MicroBatches(EngineAround):
    """An engine whose step is `number` steps of `engine`; gradients and losses are their weighted means."""

    engine: SynchronousEngine

    def __init__(self, engine: SynchronousEngine, number: int) -> None:
        super().__init__(engine)
        self.number = number

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """As the inner engine's step; a batch of one image is one micro-batch."""
        parts = partition(batch.x.shape[0], self.number)
        total: dict[str, Array] = {}
        losses: Any = 0.0
        for part, (i, j) in enumerate(parts):
            share = (j - i) / batch.x.shape[0]

            def add(grads: dict[str, Array], share: float = share) -> None:
                for name, g in grads.items():
                    if name in total:
                        g *= share
                        total[name] += g
                    else:
                        total[name] = share * g

            micro = Batch(batch.x[i:j], batch.y[i:j])
            losses = losses + share * self.engine.step(micro, replace(ctx, part=part), add, update_stats)
        if update_stats:
            self.engine.average_weights(ctx)
        on_gradients(total)
        return losses

    def memory_advice(self, images: Array, epoch: int) -> str:
        """As the inner engine's, for one micro-batch."""
        return self.engine.memory_advice(images[: -(-len(images) // self.number)], epoch)
