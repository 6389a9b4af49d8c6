"""The rank's part of a synchronous step: the same step, with neighbours at its two ends.

    from below   h, the activation of the rank below                              to above   h of the topmost module
    to below     what the error at the input of the lowest module is needed for   from above   the same

What is exchanged for it depends on the boundary and on the module below, `Exchange`:

    nothing     it is not needed (GLL, DGL, PredSim, InfoPro)
    gradients   it enters linked units and goes no further: both ranks hold those units (BackLink, unfolded)
    target      it is the target of a synthesiser (DNI)
    error       it goes on through the modules below (BP, a global epoch of PGL, BackLink with error="total",
                Interlocking), or through one that has no loss of its own (HPFF's first)

Where weights cross (MAN), the rank above sends those of its lowest unit as soon as it has received h, before any update
of that step. They are written into this rank's own copy of those arrays, which nothing else reads.

Where the rule encodes the inputs of modules for the module above, that of the topmost module (below the units that are
sent) goes up behind h, and an error that passes through whole modules comes down with that of the contexts behind it.

Unfolded, the message up is the input of the linked units. Both ranks run them forward: the lower one for g_loc, the
upper one for g_glb. They exchange the two, and update their copies by the same sum, Eq. (6). Gradients and targets of
step t cross in step t+1, after its message up: until then the lower rank has worked on batch t+1, and the upper one on
batch t. `flush` lets them cross wherever weights are read. An error crosses within its step, so ranks take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, Protocol

from minilocal.array import Array
from minilocal.boundaries import Boundary
from minilocal.engine.divided import ErrorSlot
from minilocal.engine.module import Module, OnGradients
from minilocal.engine.synchronous import PendingModule, SynchronousEngine, mix
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.layers.module_input import ModuleInput, ModuleInputs, entering, inputs_of
from minilocal.objectives import Batch
from minilocal.parallel.segment import Segment
from minilocal.parallel.wire import Neighbour, concatenated, divided
from minilocal.rules.compose import Rule

Grads = dict[str, Array]
Deferred = Callable[[], None]


class Exchange(Enum):
    """What crosses a boundary downward, for the error at the input of the module above it."""

    NOTHING, GRADIENTS, TARGET, ERROR = range(4)


class Below(Protocol):
    """What the exchange depends on in the module below: a `Module`, or the costs of one."""

    @property
    def units(self) -> Sized: ...

    @property
    def synthesiser(self) -> object: ...

    @property
    def objective(self) -> object: ...


def exchange_at(boundary: Boundary, below: Below) -> Exchange:
    """What crosses this boundary into the module `below` it."""
    units = len(below.units)
    if boundary.linked_units(units) == 0:
        return Exchange.NOTHING if below.synthesiser is None else Exchange.TARGET
    goes_on = boundary.sends(units)[1] != 0 or below.synthesiser is not None or boundary.one_loss
    return Exchange.ERROR if goes_on or below.objective is None else Exchange.GRADIENTS


class SynchronousRank(SynchronousEngine):
    """The synchronous engine of a segment, between its neighbours.

    `arrays` are those of the whole network. Live are those of its own modules, and the copies of linked units below.
    """

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array], segment: Segment) -> None:
        super().__init__(modules, rule, arrays)
        self.own, self.below, self.above = own, below, above = segment
        self.lower, self.top = modules[own.start - 1], modules[own.stop - 1]  # the modules under each boundary
        self.copied = self._linked(self.lower) if below else {}  # linked units of the rank below, held here too
        self.shared = self._linked(self.top) if above else {}  # linked units that the rank above holds too
        self.deferred_below: list[Deferred] = []  # what of the last step has still to cross each boundary
        self.deferred_above: list[Deferred] = []
        self.was_global = self.weights_cross = False

    def _linked(self, module: Module) -> dict[int, list[str]]:
        """The parameters of the units that two ranks hold, if the boundary above `module` is unfolded."""
        if exchange_at(self.rule.boundary, module) is not Exchange.GRADIENTS:
            return {}
        units = range(len(module.units) - self.rule.boundary.linked_units(len(module.units)), len(module.units))
        return {u: list(module.units[u].parameters) for u in units}

    # ------------------------------------------------------------------ a step

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64, NaN for the modules of other ranks and for those without a loss.

        The gradients of units that two ranks hold, and of the topmost synthesiser, go to `on_gradients` in the next
        step, or in `flush`; in this one where it only asks for gradients and updates no statistics.
        """
        if (is_global := self.rule.when.is_global(ctx.epoch)) != self.was_global:
            self.flush()
            self.was_global = is_global
        self.update, self.batch = on_gradients, batch
        self.inputs = unit_inputs(self.modules, batch.x.shape[1:])
        self.grads: Grads = {}  # of units that two ranks hold: g_glb of the copies, g of shared units in a global epoch
        copied, shared = ({name for names in units.values() for name in names} for units in (self.copied, self.shared))

        def sort(grads: Grads) -> None:
            name = next(iter(grads), "")
            if name in copied:
                self.grads |= grads
                return
            if name in shared:
                self.grads |= {name: g.copy() for name, g in grads.items()}  # an optimiser may overwrite its gradient
            on_gradients(grads)

        averages = self.rule.boundary.averages
        self.weights_cross = averages is not None and update_stats and ctx.part == 0 and averages.cross(ctx.step)
        losses = super().step(batch, ctx, sort, update_stats)
        if self.rule.accumulate > 1 or not update_stats:
            self.flush()
        return losses

    def flush(self) -> None:
        """Let everything of the last step cross. Every rank calls it after the same step."""
        run(self.deferred_below)
        run(self.deferred_above)

    def _receive(
        self, batch: Batch, ctx: PassContext, boundary: Boundary
    ) -> tuple[Array, list[PendingModule], PassContext]:
        """(input of the lowest module; where the rank holds copies, the module below it with their caches; context)."""
        self.boundary = boundary
        if self.below is None:
            return batch.x, [], ctx
        lower, units = self.lower, len(self.lower.units)
        unfolded = exchange_at(boundary, lower) is Exchange.GRADIENTS
        lowest = units - boundary.linked_units(units) if unfolded else units
        h = self.below.receive((len(batch.x), *self.inputs[lower.first + lowest]), batch.x.dtype)
        inputs = ModuleInputs(batch.x, None, self._receive_input(batch, lowest, boundary.passes_on))
        ctx = replace(ctx, inputs=inputs)
        run(self.deferred_below)
        if self.weights_cross:
            self.below.send(concatenated(self.arrays[name] for name in self._lowest_unit(self.own.start)))
        if self.copied:
            self.deferred_below.append(partial(self._share_below, unfolded, self.grads, self.update))
        if not unfolded:
            return h, [], ctx
        if lowest == 0:
            ctx = entering(ctx, h, lower.first, boundary.passes_on)
        pending = PendingModule(lower, lowest, ctx, input=h if self.rule.keep == "inputs" else None)
        h, pending.caches = lower.forward(h, ctx, self.arrays, False, range(lowest, units), pending.input is None)
        return h, [pending], ctx

    def _receive_input(self, batch: Batch, lowest: int, passes: bool) -> ModuleInput:
        """The input of the module whose units end below those that this rank runs, where a context encodes it."""
        assert self.below is not None
        k = self._encoded(self.own.start - 1, lowest)
        self.encoded = ModuleInput(batch.x if k == 0 else None, passes and k != 0)
        if self.rule.context.encodes_below and k:
            shape = (len(batch.x), *self.inputs[self.modules[k].first])
            self.encoded.value = self.below.receive(shape, batch.x.dtype)
        return self.encoded

    def _encoded(self, k: int, units: int) -> int | None:
        """The module whose input goes up behind the output of the first `units` units of module k; None for none."""
        return k if units > 0 else k - 1 if k > 0 else None

    def _send_up(self, k: int, units: int, h: Array, ctx: PassContext) -> None:
        """Send the output of the topmost module, or the input of its linked units where the rank above has copies."""
        if self.above is None or k != self.own.stop - 1:
            return
        n = len(self.top.units)
        unfolded = exchange_at(self.boundary, self.top) is Exchange.GRADIENTS
        if units == n - (self.boundary.linked_units(n) if unfolded else 0):
            self.above.send(h)
            self._send_input(k, units, ctx)
            run(self.deferred_above)
            if self.weights_cross:
                self._receive_weights(self.above, h.dtype)

    def _receive_weights(self, above: Neighbour, dtype: Any) -> None:
        """The weights of the unit above, as they are before this step's updates."""
        arrays = [self.arrays[name] for name in self._lowest_unit(self.own.stop)]
        vector = above.receive((sum(a.size for a in arrays),), dtype)
        for a, weights in zip(arrays, divided(vector, arrays), strict=True):
            a[...] = weights

    def _lowest_unit(self, k: int) -> list[str]:
        """The parameters of the first unit of module k."""
        return list(self.modules[k].units[0].parameters)

    def _send_input(self, k: int, units: int, ctx: PassContext) -> None:
        """Send the input of a module that a context of the rank above encodes; the images are there already."""
        assert self.above is not None
        if self.rule.context.encodes_below and (encoded := self._encoded(k, units)):
            input = inputs_of(ctx).own if encoded == k else inputs_of(ctx).below
            assert input is not None and input.value is not None
            self.above.send(input.value)

    def _send_down(self, error: Array | None) -> None:
        if error is None or self.below is None:
            return
        kind = exchange_at(self.boundary, self.lower)
        if kind is Exchange.ERROR:
            self.below.send(error)
            if self._errors_of_contexts(self.own.start - 1):
                of_contexts = self.encoded.take_error()
                assert of_contexts is not None
                self.below.send(of_contexts)
        elif kind is Exchange.TARGET:
            self.deferred_below.append(partial(self.below.send, error))

    def _errors_of_contexts(self, k: int) -> bool:
        """Whether an error of the contexts that encode the input of module k comes down behind that of its output."""
        return self.boundary.passes_on and self.rule.context.encodes_below and k > 0

    def _await_above(self, boundary: Boundary, below: list[PendingModule], on_gradients: OnGradients) -> None:
        if self.above is None:
            return
        kind, x = exchange_at(boundary, self.top), self.batch.x
        error = partial(self.above.receive, (len(x), *self.inputs[self.top.top + 1]), x.dtype)
        if kind is Exchange.ERROR:
            error_slot: ErrorSlot = [error()]
            if self._errors_of_contexts(k := self.own.stop - 1) and (input := inputs_of(below[-1].ctx).own) is not None:
                input.add_error(self.above.receive((len(x), *self.inputs[self.modules[k].first]), x.dtype))
            self._send_down(self._backward_from_above(boundary, below, error_slot, on_gradients))
        elif kind is Exchange.TARGET:
            self.deferred_above.append(partial(self._learn_synthesiser, below.pop().synth_cache, error, self.update))
        if self.shared:
            local_grads = below.pop().local_grads if kind is Exchange.GRADIENTS else None
            self.deferred_above.append(partial(self._share_above, local_grads, self.grads, self.update))

    # ------------------------------------------------------------------ what crosses late

    def _learn_synthesiser(self, cache: Any, error: Callable[[], Array], update: OnGradients) -> None:
        """The gradients of the topmost synthesiser, from the error that it has predicted."""
        update(self.top.synthesiser_gradients(cache, error(), self.arrays))

    def _share_above(self, local_grads: dict[int, Grads] | None, whole: Grads, update: OnGradients) -> None:
        """Update the shared units: by both ranks' gradients, or by those of this rank, which are `whole` then."""
        assert self.above is not None
        if local_grads is None:
            self.above.send(concatenated(whole[name] for names in self.shared.values() for name in names))
            return
        mine = {u: [local_grads[u][name] for name in names] for u, names in self.shared.items()}
        theirs = self.above.exchange(concatenated(g for grads in mine.values() for g in grads))
        self._update_linked(self.top, self.shared, mine, self._by_unit(theirs, self.shared), update)

    def _share_below(self, unfolded: bool, grads: Grads, update: OnGradients) -> None:
        """Update the copies: by both ranks' gradients, or by those of the rank below."""
        assert self.below is not None
        if not unfolded:
            sizes = (self.arrays[name].size for names in self.copied.values() for name in names)
            whole = self.below.receive((sum(sizes),), self.batch.x.dtype)
            for u, parts in self._by_unit(whole, self.copied).items():
                update(dict(zip(self.copied[u], parts, strict=True)))
            return
        mine = {u: [grads[name] for name in names] for u, names in self.copied.items()}
        theirs = self.below.exchange(concatenated(g for parts in mine.values() for g in parts))
        self._update_linked(self.lower, self.copied, self._by_unit(theirs, self.copied), mine, update)

    def _by_unit(self, vector: Array, units: Mapping[int, list[str]]) -> dict[int, list[Array]]:
        """A vector of gradients, unit by unit."""
        names = [name for of_unit in units.values() for name in of_unit]
        parts = iter(divided(vector, [self.arrays[name] for name in names]))
        return {u: [next(parts) for _ in of_unit] for u, of_unit in units.items()}

    def _update_linked(
        self,
        module: Module,
        units: Mapping[int, list[str]],
        g_loc: Mapping[int, list[Array]],
        g_glb: Mapping[int, list[Array]],
        update: OnGradients,
    ) -> None:
        """Eq. (6), in both ranks alike."""
        top = len(module.units) - 1
        for u, names in units.items():
            local, from_above = (dict(zip(names, grads[u], strict=True)) for grads in (g_loc, g_glb))
            update(mix(local, from_above, *self.rule.boundary.weights(top - u)))


def unit_inputs(modules: Sequence[Module], image: Shape) -> list[Shape]:
    """The shape of the input of every unit of the network, and of the last one's output, for one image."""
    chain = [image]
    for module in modules:
        for unit in module.units:
            chain.append(unit.out_shape(chain[-1]))
    return chain


def run(deferred: list[Deferred]) -> None:
    """Run what has waited, in order, once."""
    waiting, deferred[:] = deferred[:], []
    for one in waiting:
        one()
