"""A module: a run of units with their local objective. Engines run its forward, its local loss and its backward.

forward       h_k = f_k(h_{k-1})                                     for all units, or some of them
local_loss    L_k and e_k = ∂L_k/∂h_k                                through the auxiliary network
backward      an error at the output, e_k or one from above, to the input of the module or of its linked units
synthesise    ê_k, where a synthesiser predicts the error from above
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilocal.array import Array
from minilocal.boundaries.base import ErrorModel
from minilocal.engine.hooks import Hooks
from minilocal.engine.out_of_memory import naming
from minilocal.errors import UserError
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import Need, Shape
from minilocal.objectives import Batch, Objective

OnGradients = Callable[[dict[str, Array]], None]
Caches = dict[int, Any]  # by the number of the unit inside its module
Saved = Mapping[str, np.ndarray]  # what an engine holds between steps, as a checkpoint has it


@dataclass(frozen=True)
class Module:
    """Units of the network from number `first` on, their local objective, and the synthesiser at their output."""

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
        self,
        h: Array,
        ctx: PassContext,
        p: Mapping[str, Array],
        update_stats: bool,
        units: range | None = None,
        keep: bool = True,
    ) -> tuple[Array, Caches]:
        """The output of `units` (all of the module's by default) and their caches; without `keep` no cache is held.

        Raises: OutOfMemory where memory does not suffice, as all methods that follow.
        """
        caches: Caches = {}
        for u in range(len(self.units)) if units is None else units:
            unit = self.units[u]
            if self.hooks:
                self.hooks.before_forward(u)
            with naming("forward of", unit, h):
                h, cache = unit.forward(h, self.hooks.replace_inputs(ctx).at(self.first + u), p)
            if self.hooks:
                h = self.hooks.after_forward(u, h, cache)
            if update_stats:
                unit.update_running_stats(cache, p)
            if keep:
                caches[u] = cache
            del cache
        return h, caches

    def local_loss(
        self, h: Array, batch: Batch, ctx: PassContext, p: Mapping[str, Array], update_stats: bool, need: Need = "both"
    ) -> tuple[Array, Array | None, dict[str, Array]]:
        """(L_k, e_k, gradients of the objective's own parameters)."""
        assert self.objective is not None
        self.hooks.before_forward("objective")
        batch = self.hooks.replace_batch("objective", batch)
        with naming("objective behind", self.units[-1], h):
            loss, cache = self.objective.forward(h, batch, ctx.at(self.top), p)
            loss = self.hooks.after_forward("objective", loss, cache)
            if update_stats:
                self.objective.update_running_stats(cache, p)
            self.hooks.before_backward("objective")
            error, grads = self.objective.backward(cache, p, need)
        return loss, self.hooks.after_backward("objective", error, grads), grads

    def synthesise(
        self, h: Array, batch: Batch, ctx: PassContext, p: Mapping[str, Array], update_stats: bool
    ) -> tuple[Array, Any]:
        """(ê_k, cache): the synthetic error at h_k, and what its own gradients will need."""
        assert self.synthesiser is not None
        self.hooks.before_forward("synthesiser")
        batch = self.hooks.replace_batch("synthesiser", batch)
        with naming("synthesiser behind", self.units[-1], h):
            error, cache = self.synthesiser.forward(h, batch, ctx.at(self.top), p)
        error = self.hooks.after_forward("synthesiser", error, cache)
        if update_stats:
            self.synthesiser.update_running_stats(cache, p)
        return error, cache

    def synthesiser_gradients(self, cache: Any, error: Array | None, p: Mapping[str, Array]) -> dict[str, Array]:
        """The synthesiser's gradients, once the error that it predicted has arrived."""
        assert self.synthesiser is not None
        self.hooks.before_backward("synthesiser")
        with naming("gradients of the synthesiser behind", self.units[-1]):
            grads = self.synthesiser.gradients(cache, error, p)
        self.hooks.after_backward("synthesiser", None, grads)
        return grads

    def backward(
        self,
        error: Array | None,
        caches: Caches,
        p: Mapping[str, Array],
        passes_on: bool,
        on_unit: Callable[[int, dict[str, Array]], None],
        lowest: int = 0,
        weights: bool = True,
    ) -> Array | None:
        """The error at the input of unit `lowest`, from the error at the module's output.

        Calls `on_unit(u, gradients)` for each unit, top to bottom; it gets the only reference to its error and cache.
        Without `passes_on` the input's error is None; without `weights` there are no gradients.
        """
        error_slot: list[Any] = [error]  # a list of one: popping from it hands a unit the last reference to its error
        del error
        for u in reversed(range(lowest, len(self.units))):
            need: Need = "input" if not weights else "both" if u > lowest or passes_on else "weights"
            if self.hooks:
                self.hooks.before_backward(u)
            with naming("backward of", self.units[u]):
                dx, grads = self.units[u].backward(error_slot.pop(), caches.pop(u), p, need)
            if self.hooks:
                dx = self.hooks.after_backward(u, dx, grads)
            on_unit(u, grads)
            error_slot.append(dx)
            del dx, grads
        return error_slot.pop()


def shapes(modules: Sequence[Module], image: Shape) -> list[tuple[Shape, Shape]]:
    """(shape of the input, shape of the output) of each module, for one image of shape `image`."""
    pairs, shape = [], image
    for module in modules:
        input_shape = shape
        for unit in module.units:
            shape = unit.out_shape(shape)
        pairs.append((input_shape, shape))
    return pairs


def saved_array(saved: Saved, name: str, shape: Shape | None = None, kinds: str = "f") -> np.ndarray:
    """An array out of a checkpoint; `kinds` are those of NumPy's that it may have, "iu" for counters and labels.

    Raises: UserError where it is missing, or not of this shape or kind.
    """
    if name not in saved:
        raise UserError(f"this checkpoint lacks 'flight:{name}': it is damaged, or of another rule.")
    if shape is not None and tuple(saved[name].shape) != tuple(shape):
        saved_shape = tuple(saved[name].shape)
        raise UserError(
            f"'flight:{name}' is {saved_shape}, and {tuple(shape)} here: this checkpoint is of another network."
        )
    if saved[name].dtype.kind not in kinds:
        raise UserError(f"'flight:{name}' is {saved[name].dtype}: this checkpoint is damaged.")
    return saved[name]
