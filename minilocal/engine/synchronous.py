"""One synchronous training step of a rule without delays; every cache that no later error can need is freed.

    for every module k, bottom to top
        h_k = f_k(h_{k-1})                                                  forward
        L_k, e_k = ∂L_k/∂h_k; or ê_k, predicted by a synthesiser            local loss
        e_k through all units of module k; E_k arrives at its input         backward of its own loss
        E_k through as many units of module k-1 as its boundary links       backward from above
            g = a_j g_loc + b_j g_glb                                       Eq. (4)-(6)
            where the boundary passes it on, it goes into module k-2 too: backpropagation, or a link whose total error
            a E_{k-1} + b (the error from above) is sent there; then module k-1 is pending with its E_{k-1}

A backward is linear in its error. So each error takes one of its own, and two leave two gradients that can be weighted.
BP holds the caches of all modules until the last loss, GLL those of one, BackLink those of one and of the linked units
below. An error is passed in a list of one, `error_slot`, so that no frame above holds it when it is no longer needed.

Gradients go to `on_gradients` as soon as they are final, and may update weights there: no later backward reads these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minilocal import boundaries, ops
from minilocal.array import Array, namespace
from minilocal.boundaries import Boundary
from minilocal.engine.averages import Averaging
from minilocal.engine.divided import ErrorSlot, backward_staying, local_errors
from minilocal.engine.memory_advice import memory_advice
from minilocal.engine.module import Caches, Module, OnGradients
from minilocal.engine.neighbours import NoNeighbours
from minilocal.engine.nothing_in_flight import NothingInFlight
from minilocal.layers import PassContext
from minilocal.layers.base import Need
from minilocal.layers.module_input import entering
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule


@dataclass
class PendingModule:
    """A module that an error from above may still reach, and what is kept for it until then."""

    module: Module
    lowest: int  # the lowest linked unit; the number of units where none is linked
    ctx: PassContext  # of its passes
    caches: Caches = field(default_factory=dict)
    input: Array | None = None  # with keep="inputs": the input of unit `lowest`, in place of the caches
    local_grads: dict[int, dict[str, Array]] = field(default_factory=dict)  # g_loc of the linked units
    input_error: Array | None = None  # E_k of its own loss, where the module below takes the total error
    synth_cache: Any = None  # of the synthesiser's forward

    @property
    def is_reached(self) -> bool:
        """Whether an error from above enters it: into a linked unit, or as the target of its synthesiser."""
        return self.lowest < len(self.module.units) or self.synth_cache is not None


class SynchronousEngine(NothingInFlight, NoNeighbours, Averaging):
    """The engine of rules whose errors arrive in the step that made them. It holds nothing between steps."""

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        self.modules, self.rule, self.arrays = modules, rule, arrays
        self.own = range(len(modules))  # the modules that this process trains

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64, NaN where a module has none. Every gradient has gone to `on_gradients`.

        Raises: OutOfMemory; some modules have been updated then, where `on_gradients` updates.
        """
        xp, p, last = namespace(batch.x), self.arrays, len(self.modules) - 1
        is_global, keep_inputs = self.rule.when.is_global(ctx.epoch), self.rule.keep == "inputs"
        boundary = boundaries.open() if is_global else self.rule.boundary  # PGL, Eq. (3)
        losses = xp.full(last + 1, float("nan"), xp.float64)
        h, below, ctx = self._receive(batch, ctx, boundary)
        for k in self.own:
            module, units = self.modules[k], len(self.modules[k].units)
            ctx = entering(ctx, h, module.first, boundary.passes_on)
            pending = PendingModule(module, units - (boundary.linked_units(units) if k < last else 0), ctx)
            local = k == last or module.synthesiser is not None or (module.objective is not None and not is_global)
            h, caches = module.forward(h, ctx, p, update_stats, range(pending.lowest), keep=local)
            if keep_inputs and pending.lowest < units:
                pending.input = h
            self._send_up(k, pending.lowest, h, ctx)
            linked = range(pending.lowest, units)
            h, pending.caches = module.forward(h, ctx, p, update_stats, linked, keep=local or not keep_inputs)
            if local:  # its own error passes through all units
                caches |= pending.caches
            if keep_inputs:
                pending.caches = {}
            if pending.lowest < units:
                self._send_up(k, units, h, ctx)

            error_slot: ErrorSlot = []  # e_k, or two parts of it, of which the second ends in this module
            if module.objective is not None:
                # PGL: Eq. (2) for w_k and γ_k; in a global epoch Eq. (4) for γ_k alone, and Eq. (3) for w by L_K
                need: Need = "both" if k == last or not is_global else "weights"
                divide = self.rule.objective.divides and k > 0 and boundary.uses_input_error and not is_global
                losses[k], error_slot, grads = local_errors(module, h, batch, ctx, p, update_stats, need, divide)
                self._average_behind(k, ctx, update_stats)
                on_gradients(grads)
                del grads
            if module.synthesiser is not None:
                error_slot = [None]
                error_slot[0], pending.synth_cache = module.synthesise(h, batch, ctx, p, update_stats)
            if not error_slot:
                below.append(pending)
                continue
            if k == last:
                del h  # nothing reads it any more
            self._backward_own_loss(boundary, pending, caches, error_slot, on_gradients)
            del caches
            if pending.input_error is None:
                self._send_down(self._backward_from_above(boundary, below, error_slot, on_gradients))
            if pending.is_reached:
                below.append(pending)
            del error_slot
        self._await_above(boundary, below, on_gradients)
        return losses

    def _backward_own_loss(
        self,
        boundary: Boundary,
        pending: PendingModule,
        caches: Caches,
        error_slot: ErrorSlot,
        on_gradients: OnGradients,
    ) -> None:
        """Replace e_k in the slot by what the module below receives: None where nothing is computed for it."""
        module = pending.module

        def on_unit(u: int, grads: dict[str, Array]) -> None:
            if u >= pending.lowest:
                pending.local_grads[u] = grads  # final only when the error from above has been mixed in
            else:
                on_gradients(grads)

        on_both = backward_staying(module, error_slot, caches, self.arrays, on_unit)
        passes_on = module.first > 0 and boundary.uses_input_error
        error_slot.append(module.backward(error_slot.pop(), caches, self.arrays, passes_on, on_both))
        if error_slot[0] is None or module is self.modules[-1]:
            return
        a, b = boundary.sends(len(module.units))  # of its own error, and of the error from above
        if b != 0:
            pending.input_error = error_slot.pop()
        elif a != 1:
            error_slot[0] = a * error_slot[0]

    def _backward_from_above(
        self, boundary: Boundary, below: list[PendingModule], error_slot: ErrorSlot, on_gradients: OnGradients
    ) -> Array | None:
        """Backpropagate the error in the slot through the linked units below, and on where the boundary passes it.

        The error that leaves the lowest module of this process; None where none does.
        """
        while below:
            pending = below.pop()
            module, lowest, top = pending.module, pending.lowest, len(pending.module.units) - 1
            if pending.synth_cache is not None:
                on_gradients(module.synthesiser_gradients(pending.synth_cache, error_slot[0], self.arrays))
            if lowest > top:
                return None
            caches = pending.caches if pending.input is None else self._recompute(pending)
            a, b = boundary.sends(len(module.units))
            passes_on = b != 0 and lowest == 0 and module.first > 0

            def on_unit(u: int, g_glb: dict[str, Array], pending: PendingModule = pending, top: int = top) -> None:
                g_loc = pending.local_grads.pop(u, None)
                on_gradients(g_glb if g_loc is None else mix(g_loc, g_glb, *boundary.weights(top - u)))

            error_slot.append(module.backward(error_slot.pop(), caches, self.arrays, passes_on, on_unit, lowest))
            if not passes_on:
                return None
            if pending.input_error is not None or b != 1:
                error: Any = error_slot.pop()
                own = pending.input_error  # δ_lc + δ_gl at the module's first unit; without a local loss, δ_gl
                error_slot.append(b * error if own is None else a * own + b * error)
                pending.input_error = None
                del error, own
        return error_slot.pop()

    def _recompute(self, pending: PendingModule) -> Caches:
        """The linked units' caches, from the input that was kept (activation checkpointing). Updates no statistics."""
        h, pending.input = pending.input, None
        assert h is not None
        units = range(pending.lowest, len(pending.module.units))
        return pending.module.forward(h, pending.ctx, self.arrays, False, units)[1]

    def memory_advice(self, images: Array, epoch: int) -> str:
        """What would keep less for these images, in a sentence; see `memory_advice`."""
        passes_on = self.rule.boundary.passes_on or self.rule.when.is_global(epoch)
        return memory_advice(self.modules, images, self.arrays, passes_on)


def mix(g_loc: dict[str, Array], g_glb: dict[str, Array], a: float, b: float) -> dict[str, Array]:
    """g = a g_loc + b g_glb of one unit, parameter by parameter, in the memory of g_loc."""
    ops.mix([(g, g_glb.pop(name)) for name, g in g_loc.items()], a, b)  # Eq. (6) with the factors of (4), (5)
    return g_loc
