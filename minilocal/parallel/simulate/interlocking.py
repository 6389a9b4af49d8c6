"""The program of a device under interlocking backpropagation: errors of several losses pass through its modules."""

from __future__ import annotations

from collections.abc import Iterator

from minilocal.parallel.simulate.program import BACKWARD, FORWARD, OBJECTIVE, Hold, Op, Receive, Send, Work
from minilocal.parallel.simulate.synchronous import SynchronousDevice


class InterlockingDevice(SynchronousDevice):
    """The interlocking engine's steps on one device."""

    def _micro_batch(self, t: int, has_before: bool) -> Iterator[Op]:
        self.recomputes: dict[int, bool] = {}  # of each module that waits: whether its caches are to be made again
        if self.below is not None:
            yield from self._from_below(t, has_before, [])
        for j, module in self.place.own(self.device):
            units, has_learner = range(len(module.units)), self._lowest(j) is not None
            keeps_input = self.rule.keep == "inputs" and self._source(j) > j
            yield Work(FORWARD, module.forward(units), j, t)
            self.recomputes[j] = keeps_input and not has_learner
            yield Hold(0 if self.recomputes[j] else module.kept(units))
            if self.above is not None and j == self.top:
                yield from self._to_above(t, has_before, module.output, self._encoded(j, len(module.units)))
            own = module.objective
            assert own is not None
            yield Hold(own.kept)
            yield Work(OBJECTIVE, own.forward + (own.backward if has_learner else own.backward_weights), j, t)
            yield Hold(-own.kept)
            yield self._update(t, j, own.update)
            if has_learner:
                yield from self._backward_of_loss(t, j)
        for j in range(self.top + 1, self.place.last + 1):
            lowest = self._lowest(j)
            if lowest is not None and lowest <= self.top:
                yield Receive(self.device + 1, self.place.modules[self.top].output)
                yield from self._backward_of_loss(t, j)
        if self.below is not None:
            yield Hold(-self._message_up())

    def _backward_of_loss(self, t: int, j: int) -> Iterator[Op]:
        """The error of the loss of module j through the modules of this device, and on to the device below."""
        lowest = self._lowest(j)
        assert lowest is not None
        for k in reversed(range(max(lowest, self.first), min(j, self.top) + 1)):
            module, learns = self.place.modules[k], self._source(k) == j
            units = range(len(module.units))
            if self.recomputes[k]:
                yield Work(FORWARD, module.forward(units), k, t)
            seconds = module.backward(units, k > lowest) if learns else module.backward_input(units)
            yield Work(BACKWARD, seconds, k, t)
            if not self.recomputes[k] and (learns or self.rule.keep == "inputs"):
                yield Hold(-module.kept(units))
            self.recomputes[k] = self.rule.keep == "inputs"
            if learns:
                yield self._updated(t, k, module, units)
        if lowest < self.first:
            yield Send(self.device - 1, self.place.modules[self.first].input)

    def _source(self, k: int) -> int:
        """The module whose loss module k learns from."""
        source = self.boundary.learns_from(k, self.place.last)
        assert source is not None
        return source

    def _lowest(self, j: int) -> int | None:
        """The lowest module that learns from the loss of module j."""
        return self.boundary.lowest_learner(j, self.place.last)
