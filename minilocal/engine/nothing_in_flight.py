"""The base of engines that hold nothing between steps."""

from __future__ import annotations

import numpy as np

from minilocal.array import Array
from minilocal.engine.module import Module, OnGradients, Saved
from minilocal.errors import UserError
from minilocal.layers.base import Shape
from minilocal.rules.compose import Rule


class NothingInFlight:
    """What an engine answers that has no batch in flight: zero, none, nothing."""

    holds_batches = False
    modules: list[Module]
    rule: Rule

    @property
    def batches_in_flight(self) -> list[int]:
        """None at any module: nothing is in flight between steps."""
        return [0] * len(self.modules)

    def held_arrays(self) -> list[list[Array]]:
        """None at any module."""
        return [[] for _ in self.modules]

    def finish(self, on_gradients: OnGradients) -> None:
        """Nothing is in flight."""

    def state(self) -> dict[str, np.ndarray]:
        """Nothing is in flight."""
        return {}

    def restore(self, saved: Saved, image: Shape) -> None:
        """Nothing is in flight.

        Raises: UserError where something was.
        """
        if saved:
            raise UserError(f"a checkpoint with batches in flight met {self.rule.name}, which has none: take its rule.")
