"""A module, and the three things that every engine does with one: climb, speak, walk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilocal.array import Array
from minilocal.boundaries.base import ErrorModel
from minilocal.engine.hooks import Hooks
from minilocal.engine.out_of_memory import out_of_memory
from minilocal.errors import UserError
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import Need, Shape
from minilocal.objectives import Batch, Objective

OnGradients = Callable[[dict[str, Array]], None]
Caches = dict[int, Any]  # by the number of the unit inside its module
Saved = Mapping[str, np.ndarray]  # what an engine holds between steps, as a checkpoint has it


@dataclass(frozen=True)
class Module:
    """A run of units, the number of the first of them, what the module wants, and what it guesses."""

    units: list[Layer]
    first: int
    objective: Objective | None
    synthesiser: ErrorModel | None = None
    hooks: Hooks = field(default_factory=Hooks, repr=False, compare=False)

    @property
    def top(self) -> int:
        """The number of its last unit in the network."""
        return self.first + len(self.units) - 1

    def parameters(self) -> list[str]:
        """The names of its units' parameters, auxiliary networks left out."""
        return [name for unit in self.units for name in unit.parameters]

    def forward(
        self, u: int, h: Array, ctx: PassContext, p: Mapping[str, Array], update_stats: bool
    ) -> tuple[Array, Any]:
        """(output, cache) of unit u.

        Raises: UserError where memory does not suffice, as all that follow.
        """
        self.hooks.before_forward(u)
        try:
            y, cache = self.units[u].forward(h, ctx.at(self.first + u), p)
        except MemoryError as error:
            raise out_of_memory(error, f"forward of {self.units[u].name}", h) from None
        y = self.hooks.after_forward(u, y, cache)
        if update_stats:
            self.units[u].update_running_stats(cache, p)
        return y, cache

    def forward_all(
        self, h: Array, ctx: PassContext, p: Mapping[str, Array], update_stats: bool, lowest: int = 0
    ) -> tuple[Array, Caches]:
        """h_k = f_k(h_{k-1}) and all caches, from unit `lowest` up."""
        caches = {}
        for u in range(lowest, len(self.units)):
            h, caches[u] = self.forward(u, h, ctx, p, update_stats)
        return h, caches

    def local_loss(
        self, h: Array, batch: Batch, ctx: PassContext, p: Mapping[str, Array], update_stats: bool, need: Need = "both"
    ) -> tuple[Array, Array | None, dict[str, Array]]:
        """(L_k, e_k, gradients of the objective's own parameters)."""
        assert self.objective is not None
        self.hooks.before_forward("objective")
        batch = self.hooks.replace_batch("objective", batch)
        try:
            loss, cache = self.objective.forward(h, batch, ctx.at(self.top), p)
            loss = self.hooks.after_forward("objective", loss, cache)
            if update_stats:
                self.objective.update_running_stats(cache, p)
            self.hooks.before_backward("objective")
            error, grads = self.objective.backward(cache, p, need)
            return loss, self.hooks.after_backward("objective", error, grads), grads
        except MemoryError as error:
            raise out_of_memory(error, f"objective behind {self.units[-1].name}", h) from None

    def synthesise(
        self, h: Array, batch: Batch, ctx: PassContext, p: Mapping[str, Array], update_stats: bool
    ) -> tuple[Array, Any]:
        """(ê_k, cache): the synthetic error at h_k, and what its own gradients will need."""
        assert self.synthesiser is not None
        self.hooks.before_forward("synthesiser")
        batch = self.hooks.replace_batch("synthesiser", batch)
        error, cache = self.synthesiser.forward(h, batch, ctx.at(self.top), p)
        error = self.hooks.after_forward("synthesiser", error, cache)
        if update_stats:
            self.synthesiser.update_running_stats(cache, p)
        return error, cache

    def synthesiser_gradients(self, cache: Any, error: Array | None, p: Mapping[str, Array]) -> dict[str, Array]:
        """The synthesiser's gradients, once the error that it predicted has arrived."""
        assert self.synthesiser is not None
        self.hooks.before_backward("synthesiser")
        grads = self.synthesiser.gradients(cache, error, p)
        self.hooks.after_backward("synthesiser", None, grads)
        return grads

    def backward(
        self,
        error: Array | None,
        caches: Caches,
        p: Mapping[str, Array],
        passes_on: bool,
        each: Callable[[int, dict[str, Array]], None],
        lowest: int = 0,
    ) -> Array | None:
        """The error walks down to unit `lowest`; `each(u, gradients)` unit by unit, its cache dropped as it passes.

        Returns what arrives below; None unless `onward`, since then nobody listens and it is not computed. A unit is
        given its error and its cache for good: nothing here holds them while it works.
        """
        error_slot = [error]
        del error
        for u in reversed(range(lowest, len(self.units))):
            need: Need = "both" if u > lowest or passes_on else "weights"
            self.hooks.before_backward(u)
            try:
                dx, grads = self.units[u].backward(error_slot.pop(), caches.pop(u), p, need)
            except MemoryError as no_room:
                raise out_of_memory(no_room, f"backward of {self.units[u].name}") from None
            dx = self.hooks.after_backward(u, dx, grads)
            each(u, grads)
            error_slot.append(dx)
            del dx, grads
        return error_slot.pop()


def shapes(modules: Sequence[Module], image: Shape) -> list[tuple[Shape, Shape]]:
    """(what enters, what comes out) of each module, for one image of this shape."""
    found, shape = [], image
    for module in modules:
        entry = shape
        for unit in module.units:
            shape = unit.out_shape(shape)
        found.append((entry, shape))
    return found


def saved_array(saved: Saved, name: str, shape: Shape | None = None) -> np.ndarray:
    """An array out of a checkpoint.

    Raises: UserError where it is missing, or not of this shape.
    """
    if name not in saved:
        raise UserError(f"this checkpoint lacks 'flight:{name}': it is damaged, or of another rule.")
    if shape is not None and tuple(saved[name].shape) != tuple(shape):
        there = tuple(saved[name].shape)
        raise UserError(f"'flight:{name}' is {there}, and {tuple(shape)} here: this checkpoint is of another network.")
    return saved[name]
