"""The base of engines around another engine: all but the step is the inner engine's."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from minilocal.array import Array
from minilocal.engine.module import OnGradients, Saved
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch


class Engine(Protocol):
    """One step of a rule, and what it holds between steps."""

    @property
    def holds_batches(self) -> bool:
        """Whether batches stay in the engine between steps, so that a step's gradients belong to several."""

    @property
    def batches_in_flight(self) -> list[int]:
        """The number of batches whose error is pending at each module."""

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64. Gradients go to `on_gradients`; running statistics move with `update_stats`."""

    def held_arrays(self) -> list[list[Array]]:
        """The arrays that each module holds between steps, bottom to top; parameters are not among them."""

    def finish(self, on_gradients: OnGradients) -> None:
        """Drain what is in flight."""

    def memory_advice(self, images: Array, epoch: int) -> str:
        """What would keep less for these images; nothing where that is not known."""

    def state(self) -> dict[str, np.ndarray]:
        """What is in flight, as named host copies."""

    def restore(self, saved: Saved, image: Shape) -> None:
        """Continue from a `state()`, of images of shape `image`.

        Raises: UserError where it is of another rule or network; then nothing has changed.
        """


class EngineAround:
    """An engine that changes the step of `engine`, and nothing else."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def holds_batches(self) -> bool:
        return self.engine.holds_batches

    @property
    def batches_in_flight(self) -> list[int]:
        return self.engine.batches_in_flight

    def held_arrays(self) -> list[list[Array]]:
        return self.engine.held_arrays()

    def finish(self, on_gradients: OnGradients) -> None:
        self.engine.finish(on_gradients)

    def memory_advice(self, images: Array, epoch: int) -> str:
        return self.engine.memory_advice(images, epoch)

    def state(self) -> dict[str, np.ndarray]:
        return self.engine.state()

    def restore(self, saved: Saved, image: Shape) -> None:
        self.engine.restore(saved, image)
