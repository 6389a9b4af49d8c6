"""One step of any rule without delays: activations climb, objectives speak, errors come down, and what no error can
reach any more is let go.

    for every module k, bottom to top
        h_k = f_k(h_{k-1})                                      climb
        L_k, e_k = objective of h_k; or e_k is guessed          speak
        e_k walks down all units of module k                    own error
        what arrives at its bottom, E_k, is handed to the module below, which was waiting for it:
            it walks down as many units as the crossing lets it, and there
            g = a_j g_loc + b_j g_glb                           weigh
            where the crossing says so it goes on into the next module below: backpropagation, or a link whose total
            error a E_k + b E_gl is wanted there; then module k, too, waits with its E_k

A backward is linear in its error, so every error takes its own walk, and two walks leave two gradients that can be
weighed. A unit's cache is dropped as soon as its last error has passed: BP holds every module until the last loss,
GLL one module, BackLink one module and the linked units of the one below. An error is dropped as soon as it has become
the next one: it is handed on in a list of one, `carried`, so that nobody above holds what has passed.

Gradients are handed to `take` unit by unit, as soon as they are final; whoever takes them may update the weights at
once, since no later walk of this step reads them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilocal.array import Array, namespace
from minilocal.boundaries import open as everything
from minilocal.engine.memory_advice import memory_advice
from minilocal.engine.module import Caches, Module, OnGradients, Saved
from minilocal.engine.out_of_memory import OutOfMemory, out_of_memory
from minilocal.errors import UserError
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule


@dataclass
class PendingModule:
    """A module that an error from above may still reach: what is kept until then."""

    module: Module
    lowest: int  # the lowest unit that waits
    caches: Caches = field(default_factory=dict)
    entry: Array | None = None  # with keep="inputs", the input of unit `lowest` instead of the caches
    own: dict[int, dict[str, Array]] = field(default_factory=dict)  # g_loc of the units that wait
    bottom: Array | None = None  # E_k of its own loss, where the module below wants the total error
    guessed: Any = None  # the cache of the guess, which the error from above will teach


class SynchronousEngine:
    """The engine of rules whose errors arrive in the step that made them. It holds nothing between steps."""

    holds_batches = False

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        self.modules, self.rule, self.arrays = modules, rule, arrays

    @property
    def in_flight(self) -> list[int]:
        """Nothing waits between steps."""
        return [0] * len(self.modules)

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64, NaN where a module has none; every gradient has gone to `take`.

        Raises: UserError where memory does not suffice; with `take` updating, some modules have been updated then.
        """
        try:
            return _Step(self, ctx, on_gradients, update_stats).learn(batch)
        except (MemoryError, OutOfMemory) as error:
            told = error if isinstance(error, OutOfMemory) else out_of_memory(error, "update")
            passes_on = self.rule.boundary.passes_on or self.rule.when.is_global(ctx.epoch)
        raise OutOfMemory(f"{told} {memory_advice(self.modules, batch.x, self.arrays, passes_on)}".strip())

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


class _Step:
    """The parts of one step over one batch; `learn` runs them in order."""

    def __init__(
        self, engine: SynchronousEngine, ctx: PassContext, on_gradients: OnGradients, update_stats: bool
    ) -> None:
        self.modules, self.rule, self.p = engine.modules, engine.rule, engine.arrays
        self.ctx, self.on_gradients, self.update_running_stats = ctx, on_gradients, update_stats
        self.is_global = self.rule.when.is_global(ctx.epoch)
        self.boundary = everything() if self.is_global else self.rule.boundary  # PGL, Eq. (3)

    def learn(self, batch: Batch) -> Array:
        xp = namespace(batch.x)
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        below: list[PendingModule] = []  # bottom to top
        h = batch.x
        for k, module in enumerate(self.modules):
            last = k == len(self.modules) - 1
            h, here, caches = self._climb(module, h, last)
            error = None
            if module.objective is not None:
                # PGL: Eq. (2) asks for w_k and γ_k; in a global epoch Eq. (4) for γ_k alone, and Eq. (3) for w by L_K
                local: Any = "both" if last or not self.is_global else "weights"
                losses[k], error, grads = module.local_loss(
                    h, batch, self.ctx, self.p, self.update_running_stats, local
                )
                self.on_gradients(grads)
                del grads
            if module.synthesiser is not None:
                error, here.guessed = module.synthesise(h, batch, self.ctx, self.p, self.update_running_stats)
            if error is None:
                below.append(here)
                continue
            if last:
                del h  # nobody climbs on it
            error_slot = [error]
            del error
            self._own_error(module, caches, error_slot, here)
            del caches
            if not last:
                self._hand_down(error_slot, here)
            if here.bottom is None:
                self._from_above(below, error_slot)
            if here.lowest < len(module.units) or here.guessed is not None:
                below.append(here)
            del error_slot
        return losses

    def _climb(self, module: Module, h: Array, last: bool) -> tuple[Array, PendingModule, Caches]:
        """h_k = f_k(h_{k-1}), what the module will wait with, and the caches that walks will need."""
        here = PendingModule(module, len(module.units) - (0 if last else self.boundary.linked_units(len(module.units))))
        walks_now = last or module.synthesiser is not None or (module.objective is not None and not self.is_global)
        caches = {}
        for u in range(len(module.units)):
            if u == here.lowest and self.rule.keep == "inputs":
                here.entry = h
            h, cache = module.forward(u, h, self.ctx, self.p, self.update_running_stats)
            if walks_now or self.rule.keep == "caches":
                caches[u] = cache
            del cache
        if self.rule.keep == "caches":
            here.caches = {u: c for u, c in caches.items() if u >= here.lowest}
        return h, here, caches

    def _own_error(self, module: Module, caches: Caches, error_slot: list[Array | None], here: PendingModule) -> None:
        """e_k walks down the whole module; what arrives at its bottom is E_k, None where nobody listens below."""

        def each(u: int, grads: dict[str, Array]) -> None:
            if u >= here.lowest:
                here.own[u] = grads  # final only when the error from above has been weighed in
            else:
                self.on_gradients(grads)

        passes_on = module.first > 0 and self.boundary.uses_input_error
        error_slot.append(module.backward(error_slot.pop(), caches, self.p, passes_on, each))

    def _from_above(self, below: list[PendingModule], error_slot: list[Array | None]) -> None:
        """The error teaches the guess of the module below, walks down its waiting units, and on where it may."""
        while below:
            here = below.pop()
            module, top = here.module, len(here.module.units) - 1
            if here.guessed is not None:
                self.on_gradients(module.synthesiser_gradients(here.guessed, error_slot[0], self.p))
            if here.lowest > top:
                return
            caches = here.caches if here.entry is None else self._again(here)
            a, b = self.boundary.sends(len(module.units))
            passes_on = b != 0 and here.lowest == 0 and module.first > 0

            def each(u: int, g_glb: dict[str, Array], here: PendingModule = here, top: int = top) -> None:
                self.on_gradients(self._weigh(here.own.pop(u), g_glb, top - u) if u in here.own else g_glb)

            error_slot.append(module.backward(error_slot.pop(), caches, self.p, passes_on, each, here.lowest))
            if not passes_on:
                return
            if here.bottom is not None:
                error: Any = error_slot.pop()
                error_slot.append(a * here.bottom + b * error)  # δ_lc + δ_gl at the module's first unit
                here.bottom = None
                del error

    def _hand_down(self, error_slot: list[Array | None], here: PendingModule) -> None:
        """What leaves a module below the last for the one below it: a times its own error, at once, or in `bottom`."""
        a, b = self.boundary.sends(len(here.module.units))
        if error_slot[0] is not None and b != 0:
            here.bottom = error_slot.pop()
        elif error_slot[0] is not None and a != 1:
            error_slot[0] = a * error_slot[0]

    def _weigh(self, g_loc: dict[str, Array], g_glb: dict[str, Array], j: int) -> dict[str, Array]:
        """g = a_j g_loc + b_j g_glb for the unit j steps below its module's top, in the place of g_loc."""
        a, b = self.boundary.weights(j)
        for name, g in g_loc.items():
            other = g_glb.pop(name)
            g *= a
            other *= b
            g += other  # Eq. (6) with the factors of (4), (5)
        return g_loc

    def _again(self, here: PendingModule) -> Caches:
        """The waiting units' caches, made again from the input that was kept. Commits nothing."""
        entry, here.entry = here.entry, None
        return here.module.forward_all(entry, self.ctx, self.p, False, here.lowest)[1]
