"""The program of a device under a rule without delays: the synchronous engine's step, between two neighbours.

    from below   the activation of the device below                                to above   that of the topmost module
    to below     the error at the input of the lowest module, where it is needed   from above   the same

What is exchanged for that error is `Exchange`, as between the ranks of a run:

    nothing     it is not needed (GLL, DGL, PredSim, InfoPro)
    gradients   it enters linked units and goes no further: the upper device holds copies of these units (BackLink)
    target      it is the target of a synthesiser (DNI)
    error       it goes on through the modules below (BP, a global epoch of PGL, BackLink with error="total",
                Interlocking), or through one that has no loss of its own (HPFF's first)

Where weights cross (MAN), the upper device sends those of its lowest unit back once it has the activation.

Where gradients are exchanged, the message up is the input of the linked units, and both devices run these. Gradients
and targets of step t are exchanged in step t+1, after its message up: meanwhile the lower device works on batch t+1,
and the upper one on batch t.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from minilocal.boundaries import Boundary
from minilocal.boundaries import open as open_boundary
from minilocal.parallel.simulate.costs import ModuleCosts
from minilocal.parallel.simulate.program import (
    BACKWARD,
    FORWARD,
    OBJECTIVE,
    UPDATE,
    DeviceProgram,
    Hold,
    Op,
    Placement,
    Receive,
    Send,
    SendReceive,
    Work,
)
from minilocal.parallel.synchronous import Exchange, exchange_at


@dataclass(frozen=True)
class Pending:
    """A module that an error from above may still reach."""

    module: int
    lowest: int  # the lowest linked unit; the number of units where none is linked
    kept: int = 0  # bytes of the linked units
    recomputes: bool = False  # the linked units' caches, from their input
    is_copy: bool = False  # of units of the device below


class SynchronousDevice(DeviceProgram):
    """The synchronous engine's steps on one device."""

    def __init__(self, place: Placement, device: int) -> None:
        super().__init__(place, device)
        self.rule = place.rule
        self.boundary = open_boundary() if place.is_global else place.rule.boundary  # PGL, Eq. (3)
        self.below = self._exchange(self.first - 1, self.boundary)
        self.above = self._exchange(self.top, self.boundary)
        self.copied = self._linked(self.first - 1)  # linked units of the device below, held here too
        self.shared = self._linked(self.top)  # linked units that the device above holds too

    def _exchange(self, lower: int, boundary: Boundary) -> Exchange | None:
        """What is exchanged above module `lower`; None where it has no boundary."""
        return exchange_at(boundary, self.place.modules[lower]) if 0 <= lower < self.place.last else None

    def _linked(self, lower: int) -> range:
        """The units of module `lower` that two devices hold."""
        if self._exchange(lower, self.rule.boundary) is not Exchange.GRADIENTS:
            return range(0)
        units = len(self.place.modules[lower].units)
        return range(units - self.rule.boundary.linked_units(units), units)

    @property
    def parameters(self) -> int:
        """Bytes of the parameters that it holds, copies included."""
        copies = self.place.modules[self.first - 1].parameters(self.copied) if self.copied else 0
        return super().parameters + copies

    def step(self, t: int) -> Iterator[Op]:
        """The operations of step t."""
        parts = self.rule.accumulate
        for part in range(parts):
            averages = self.rule.boundary.averages
            self.weights_cross = averages is not None and part == 0 and averages.cross(t)
            yield from self._micro_batch(t, has_before=t > 0 and parts == 1)
            if parts > 1:  # the gradients of all parts are needed before the update
                yield from self._exchange_below(t)
                yield from self._exchange_above(t)
        if parts > 1:
            if self.copied:
                yield Work(UPDATE, self.place.modules[self.first - 1].update(self.copied), self.first - 1, t)
            for k, module in self.place.own(self.device):
                yield Work(UPDATE, sum(part.update for part in module.parts), k, t)

    # ------------------------------------------------------------------ one batch

    def _micro_batch(self, t: int, has_before: bool) -> Iterator[Op]:
        pending: list[Pending] = []  # bottom to top
        if self.below is not None:
            yield from self._from_below(t, has_before, pending)
        for k, module in self.place.own(self.device):
            units = range(len(module.units))
            lowest = units.stop - (self.boundary.linked_units(units.stop) if k < self.place.last else 0)
            own_error = self._has_own_error(k, module)
            recomputes = self.rule.keep == "inputs" and lowest < units.stop

            yield Work(FORWARD, module.forward(units[:lowest]), k, t)
            yield Hold(module.kept(units[:lowest]) if own_error else 0)
            if k == self.top and self.above is Exchange.GRADIENTS:
                yield from self._to_above(t, has_before, module.input_of(lowest), self._encoded(k, lowest))
            yield Work(FORWARD, module.forward(units[lowest:]), k, t)
            kept = 0 if recomputes else module.kept(units[lowest:])
            yield Hold(kept if own_error or not recomputes else 0)
            if k == self.top and self.above not in (None, Exchange.GRADIENTS):
                yield from self._to_above(t, has_before, module.output, self._encoded(k, len(module.units)))

            awaits = Pending(k, lowest, kept, recomputes)
            yield from self._own_loss(t, k, module)
            if not own_error:
                pending.append(awaits)
                continue
            passes_on = k > 0 and self.boundary.uses_input_error
            if passes_on and self.rule.objective.divides and not self.place.is_global:  # of the error that stays
                yield Work(BACKWARD, module.backward(units, False), k, t)
            yield Work(BACKWARD, module.backward(units, passes_on), k, t)
            yield Hold(-module.kept(units[:lowest]) + module.parameters(units[lowest:]))  # g_loc waits for g_glb
            yield self._updated(t, k, module, units[:lowest])
            is_total = k < self.place.last and passes_on and self.boundary.sends(units.stop)[1] != 0
            if passes_on and not is_total:
                yield from self._from_above(t, pending, k)
            if lowest < units.stop or module.synthesiser is not None:
                pending.append(awaits)
        if self.above is not None:
            yield from self._await_above(t, pending)
        if self.below is not None:
            yield Hold(-self._message_up())

    def _has_own_error(self, k: int, module: ModuleCosts) -> bool:
        """Whether an error of its own passes through the module: of its objective, or predicted."""
        local = module.objective is not None and not self.place.is_global
        return k == self.place.last or local or module.synthesiser is not None

    def _own_loss(self, t: int, k: int, module: ModuleCosts) -> Iterator[Op]:
        """The objective's forward, backward and update, or the synthesiser's forward."""
        if module.objective is not None:
            own = module.objective
            need_error = k == self.place.last or not self.place.is_global  # PGL: Eq. (4) for γ_k alone
            yield Hold(own.kept)
            yield Work(OBJECTIVE, own.forward + (own.backward if need_error else own.backward_weights), k, t)
            yield Hold(-own.kept)
            yield self._update(t, k, own.update)
        if module.synthesiser is not None:
            yield Work(OBJECTIVE, module.synthesiser.forward, k, t)
            yield Hold(module.synthesiser.kept)

    def _from_above(self, t: int, pending: list[Pending], k: int) -> Iterator[Op]:
        """The error at the input of module k through the linked units below, and on where the boundary passes it."""
        while pending:
            awaits = pending.pop()
            k, module = awaits.module, self.place.modules[awaits.module]
            units = range(awaits.lowest, len(module.units))
            if module.synthesiser is not None:
                yield from self._learn_synthesiser(t, k, module)
            if not units:
                return
            if awaits.recomputes:
                yield Work(FORWARD, module.forward(units), k, t)
            passes_on = self.boundary.sends(len(module.units))[1] != 0 and awaits.lowest == 0 and k > 0
            yield Work(BACKWARD, module.backward(units, passes_on), k, t)
            yield Hold(-awaits.kept)
            if not awaits.is_copy:
                if self._has_own_error(k, module):
                    yield Hold(-module.parameters(units))
                yield self._updated(t, k, module, units)
            if not passes_on:
                return
        if self.below is Exchange.ERROR:
            yield Send(self.device - 1, self.place.modules[k].input)
            if of_contexts := self._of_contexts(k - 1):
                yield Send(self.device - 1, of_contexts)

    def _learn_synthesiser(self, t: int, k: int, module: ModuleCosts) -> Iterator[Op]:
        assert module.synthesiser is not None
        yield Work(BACKWARD, module.synthesiser.backward_weights, k, t)
        yield Hold(-module.synthesiser.kept)
        yield self._update(t, k, module.synthesiser.update)

    def _updated(self, t: int, k: int, module: ModuleCosts, units: range) -> Work:
        return self._update(t, k, module.update(units))

    def _update(self, t: int, k: int, seconds: float) -> Work:
        """The update of a part; of micro-batches there is one at the step's end."""
        return Work(UPDATE, seconds if self.rule.accumulate == 1 else 0.0, k, t)

    # ------------------------------------------------------------------ messages

    def _message_up(self) -> int:
        """Bytes of the message from below: the input of the lowest module or of the copies, and what is encoded."""
        lower = self.place.modules[self.first - 1]
        units = len(lower.units) - len(self._linked_now(lower))
        return lower.input_of(units) + self._encoded(self.first - 1, units)

    def _encoded(self, k: int, units: int) -> int:
        """Bytes of the module input that goes up behind the output of the first `units` units of module k."""
        encoded = k if units else k - 1
        return self.place.modules[encoded].encoded if encoded > 0 else 0

    def _of_contexts(self, k: int) -> int:
        """Bytes of the error of the contexts that encode the input of module k, where it comes down."""
        return self.place.modules[k].encoded if self.boundary.passes_on else 0

    def _linked_now(self, lower: ModuleCosts) -> range:
        units = len(lower.units)
        return range(units - (self.boundary.linked_units(units) if self.below is Exchange.GRADIENTS else 0), units)

    def _from_below(self, t: int, has_before: bool, pending: list[Pending]) -> Iterator[Op]:
        """The message from below, the exchange of the step before, and the forward of the copies."""
        lower, units = self.place.modules[self.first - 1], self._linked_now(self.place.modules[self.first - 1])
        encoded = self._encoded(self.first - 1, units.start)
        yield Receive(self.device - 1, self._message_up() - encoded)
        if encoded:
            yield Receive(self.device - 1, encoded)
        yield Hold(self._message_up())
        if has_before:
            yield from self._exchange_below(t - 1)
        if self.weights_cross:
            yield Send(self.device - 1, self.place.modules[self.first].parameters(range(1)))
        if self.below is Exchange.GRADIENTS:
            recomputes = self.rule.keep == "inputs"
            kept = 0 if recomputes else lower.kept(units)
            yield Work(FORWARD, lower.forward(units), self.first - 1, t)
            yield Hold(kept)
            pending.append(Pending(self.first - 1, units.start, kept, recomputes, is_copy=True))

    def _to_above(self, t: int, has_before: bool, nbytes: int, encoded: int) -> Iterator[Op]:
        """The message up, the input that contexts encode behind it, and the exchange of the step before."""
        yield Send(self.device + 1, nbytes)
        if encoded:
            yield Send(self.device + 1, encoded)
        if has_before:
            yield from self._exchange_above(t - 1)
        if self.weights_cross:
            yield Receive(self.device + 1, self.place.modules[self.top + 1].parameters(range(1)))

    def _await_above(self, t: int, pending: list[Pending]) -> Iterator[Op]:
        if self.above is Exchange.ERROR:
            yield Receive(self.device + 1, self.place.modules[self.top].output)
            if of_contexts := self._of_contexts(self.top):
                yield Receive(self.device + 1, of_contexts)
            yield from self._from_above(t, pending, self.top + 1)
        elif self.above is Exchange.GRADIENTS:
            yield Hold(-pending.pop().kept)

    def _exchange_below(self, t: int) -> Iterator[Op]:
        """The gradients of the copies for step t, in a global epoch those of the device below; or a target."""
        if self.copied:
            lower = self.place.modules[self.first - 1]
            nbytes, unfolded = lower.parameters(self.copied), self.below is Exchange.GRADIENTS
            yield SendReceive(self.device - 1, nbytes) if unfolded else Receive(self.device - 1, nbytes)
            yield self._updated(t, self.first - 1, lower, self.copied)
        elif self.below is Exchange.TARGET:
            yield Send(self.device - 1, self.place.modules[self.first].input)

    def _exchange_above(self, t: int) -> Iterator[Op]:
        module = self.place.modules[self.top]
        if self.shared:
            nbytes, unfolded = module.parameters(self.shared), self.above is Exchange.GRADIENTS
            yield SendReceive(self.device + 1, nbytes) if unfolded else Send(self.device + 1, nbytes)
            if unfolded:
                yield Hold(-nbytes)
                yield self._updated(t, self.top, module, self.shared)
        elif self.above is Exchange.TARGET:
            yield Receive(self.device + 1, module.output)
            yield from self._learn_synthesiser(t, self.top, module)
