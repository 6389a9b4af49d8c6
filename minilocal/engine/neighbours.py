"""The ends of a step where modules of another process may stand, above and below: here there are none."""

from __future__ import annotations

from typing import Any

from minilocal.array import Array
from minilocal.boundaries import Boundary
from minilocal.engine.module import OnGradients
from minilocal.layers import PassContext
from minilocal.objectives import Batch


class NoNeighbours:
    """The base of an engine that has all modules. `minilocal.parallel` overrides what an engine does at its ends."""

    def _receive(self, batch: Batch, ctx: PassContext, boundary: Boundary) -> tuple[Array, list[Any], PassContext]:
        """(input of the lowest module, the modules below it that await its error, context of the one below).

        Here these are the images, none, and `ctx`.
        """
        return batch.x, [], ctx

    def _send_up(self, k: int, units: int, h: Array, ctx: PassContext) -> None:
        """Send h, the output of the first `units` units of module k, to the process above: to none."""

    def _send_down(self, error: Array | None) -> None:
        """Send the error at the input of the lowest module to the process below: to none."""

    def _await_above(self, boundary: Boundary, below: list[Any], on_gradients: OnGradients) -> None:
        """Wait for the error of the process above, for the modules that are still pending: for none."""
