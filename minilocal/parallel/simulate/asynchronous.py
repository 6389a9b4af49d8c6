"""The program of a device where modules are drawn at random: every device makes the same draws.

until worker 0 has taken this step's batch: draw a worker j
    the device of j         forward; h_j and its batch go up where worker j+1 is on another device; loss, backward
    the device of j+1       takes them into its buffer
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np

from minilocal import streams
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
from minilocal.rules.when import Asynchronous


class AsynchronousDevice(DeviceProgram):
    """The draws of one device."""

    def __init__(self, place: Placement, device: int) -> None:
        super().__init__(place, device)
        self.when = cast(Asynchronous, place.rule.when)
        self.rng: np.random.Generator = streams.rng(0)
        self.draws = 0

    @property
    def static(self) -> int:
        """Bytes that it holds all the time, the full buffers that its modules read included."""
        modules = self.place.own(self.device)
        buffers = self.when.entries * sum(self._entry(module.input) for k, module in modules if k > 0)
        return super().static + buffers

    def step(self, t: int) -> Iterator[Op]:
        """The operations of the draws of step t."""
        while True:
            j = self.when.draw(self.rng, self.draws, self.place.last + 1)
            self.draws += 1
            yield from self._draw(t, j)
            if j == 0:
                return

    def _draw(self, t: int, j: int) -> Iterator[Op]:
        module, worker = self.place.modules[j], self.place.device_of(j)
        above = self.place.device_of(j + 1) if j < self.place.last else worker
        if self.device == worker:
            yield from self._work(t, j, above)
        elif self.device == above:
            yield Receive(worker, self._entry(module.output))

    def _work(self, t: int, j: int, above: int) -> Iterator[Op]:
        """The forward, the message up, the loss, the backward and the update of worker j."""
        module = self.place.modules[j]
        units, objective = range(len(module.units)), module.objective
        yield Work(FORWARD, module.forward(units), j, t)
        yield Hold(module.kept(units))
        if above != self.device:
            yield Send(above, self._entry(module.output))
        if objective is not None:
            yield Hold(objective.kept)
            yield Work(OBJECTIVE, objective.forward + objective.backward, j, t)
            yield Hold(-objective.kept)
        yield Work(BACKWARD, module.backward(units, False), j, t)
        yield Hold(-module.kept(units))
        yield Work(UPDATE, sum(part.update for part in module.parts), j, t)

    def _entry(self, nbytes: int) -> int:
        """Bytes of an entry of a buffer: an activation, and the images that it was computed from."""
        return nbytes + self.place.modules[0].input
