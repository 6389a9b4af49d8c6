"""The program of a device under a rule with delays: an iteration of the delayed engine, between two neighbours.

    module k in iteration t, with lags (a, e) of activations and errors
        forward     of batch t - k a
        backward    of batch t - (K-1) a - (K-1-k) e            the last module: both of the same batch

What module k pushed a iterations ago crosses upward, and what module k+1 pushed e iterations ago downward. Without a
lag of activations the message up follows the forward; else all messages are due when the iteration begins.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    Work,
)


class DelayedDevice(DeviceProgram):
    """The delayed engine's iterations on one device."""

    def __init__(self, place: Placement, device: int) -> None:
        super().__init__(place, device)
        self.boundary = place.rule.boundary
        self.activations, self.errors = self.boundary.lags
        self.backward_first = place.rule.when.first == "backward"

    def step(self, t: int) -> Iterator[Op]:
        """The operations of iteration t."""
        at_once = self.activations == 0  # an activation goes up within its iteration
        if self.backward_first and at_once:
            yield from self._error_down(t)
            yield from self._error_from_above(t)
        yield from self._activation_from_below(t)
        if not (self.backward_first and at_once):
            yield from self._error_down(t)
        if not at_once:
            yield from self._activation_up(t)
            yield from self._error_from_above(t)
        for k, module in self.place.own(self.device):
            if self.backward_first:
                yield from self._backward(t, k, module)
            yield from self._forward(t, k, module)
            if k == self.top and at_once:
                yield from self._activation_up(t)
                if not self.backward_first:
                    yield from self._error_from_above(t)
            if not self.backward_first:
                yield from self._backward(t, k, module)

    def _forward_batch(self, t: int, k: int) -> int:
        """The batch that module k forwards in iteration t; negative before the first."""
        return t - k * self.activations

    def _backward_batch(self, t: int, k: int) -> int:
        """The batch whose error arrives in module k in iteration t; negative before the first."""
        last = self.place.last
        return t - last * self.activations - (last - k) * self.errors

    def _forward(self, t: int, k: int, module: ModuleCosts) -> Iterator[Op]:
        if (batch := self._forward_batch(t, k)) < 0:
            return
        units = range(len(module.units))
        yield Work(FORWARD, module.forward(units), k, batch)
        yield Hold(self._kept(k, module))
        if k < self.place.last:
            return
        objective = module.objective
        if objective is not None:
            yield Hold(objective.kept)
            yield Work(OBJECTIVE, objective.forward + objective.backward, k, batch)
            yield Hold(-objective.kept)
        yield Work(BACKWARD, module.backward(units, k > 0), k, batch)
        yield Hold(-self._kept(k, module))
        if not self.backward_first:
            yield Work(UPDATE, sum(part.update for part in module.parts), k, batch)

    def _backward(self, t: int, k: int, module: ModuleCosts) -> Iterator[Op]:
        units = range(len(module.units))
        if k == self.place.last:  # what its last iteration has held until now
            if self.backward_first and (batch := self._forward_batch(t - 1, k)) >= 0:
                yield Work(UPDATE, sum(part.update for part in module.parts), k, batch)
            return
        if (batch := self._backward_batch(t, k)) < 0:
            return
        if self.boundary.backward_weights == "recompute":
            yield Work(FORWARD, module.forward(units), k, batch)
        yield Work(BACKWARD, module.backward(units, k > 0), k, batch)
        yield Hold(-self._kept(k, module))
        yield Work(UPDATE, module.update(units), k, batch)

    def _kept(self, k: int, module: ModuleCosts) -> int:
        """Bytes of a batch that is pending at module k: its caches and weights, or its input alone."""
        units, how_kept = range(len(module.units)), self.boundary.backward_weights
        if k == self.place.last:
            return module.kept(units)
        if how_kept == "recompute":
            return module.input
        weights = module.parameters(units) if how_kept == "stashed" else 0
        return module.input * (k == self.first) + module.kept(units) + weights

    # ------------------------------------------------------------------ messages, where there is a neighbour

    def _activation_from_below(self, t: int) -> Iterator[Op]:
        if self.first > 0 and self._forward_batch(t, self.first) >= 0:
            yield Receive(self.device - 1, self.place.modules[self.first].input)

    def _error_down(self, t: int) -> Iterator[Op]:
        if self.first > 0 and self._backward_batch(t, self.first - 1) >= 0:
            yield Send(self.device - 1, self.place.modules[self.first].input)

    def _activation_up(self, t: int) -> Iterator[Op]:
        if self.top < self.place.last and self._forward_batch(t, self.top + 1) >= 0:
            yield Send(self.device + 1, self.place.modules[self.top].output)

    def _error_from_above(self, t: int) -> Iterator[Op]:
        if self.top < self.place.last and self._backward_batch(t, self.top) >= 0:
            yield Receive(self.device + 1, self.place.modules[self.top].output)
