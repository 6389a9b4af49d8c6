"""The rank's part of a step of interlocking backpropagation: errors of several losses cross each boundary in turn.

    from above   the errors of the losses above that enter this rank's modules, from the next loss on
    to below     those that go on, first of this rank's losses, then of the losses above

Each crosses within its step, in the order of the losses on both sides. No unit is held by two ranks.
"""

from __future__ import annotations

from minilocal.engine.interlocking import InterlockingEngine, Waiting
from minilocal.engine.module import OnGradients
from minilocal.parallel.synchronous import SynchronousRank


class InterlockingRank(SynchronousRank, InterlockingEngine):
    """The interlocking engine of a segment, between its neighbours."""

    def _await_losses_above(self, waiting: dict[int, Waiting], on_gradients: OnGradients) -> None:
        if self.above is None:
            return
        shape = (len(self.batch.x), *self.inputs[self.top.top + 1])
        for j in range(self.own.stop, len(self.modules)):
            lowest = self.lowest(j)
            if lowest is not None and lowest < self.own.stop:
                error = self.above.receive(shape, self.batch.x.dtype)
                self._send_down(self._backward_of_loss(j, waiting, [error], on_gradients))
