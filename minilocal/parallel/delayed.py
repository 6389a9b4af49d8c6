"""The rank's part of an iteration of a rule with delays: the same queues, two of them filled by neighbours.

    from below   the activation of iteration t, or where activations are delayed that of iteration t-1
    from above   the error of iteration t-1

A rank has the queues that its modules read: activations of the rank below, errors of the rank above. An activation
without a delay crosses within its iteration. Everything else crosses in the next one, before anything reads it: a rank
waits for nothing that a neighbour computes in the same iteration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minilocal.array import Array, namespace
from minilocal.engine.delayed import DelayedEngine
from minilocal.engine.in_flight import (
    InFlight,
    InFlightBatch,
    Message,
    check_held,
    check_signature,
    rows,
    saved_batches,
    signature,
)
from minilocal.engine.module import Module, OnGradients, Saved, shapes
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.parallel.segment import Segment
from minilocal.parallel.wire import Neighbour
from minilocal.rules.compose import Rule

if TYPE_CHECKING:
    from mpi4py import MPI

NOTHING = -1  # in place of a batch's number: no array follows


class DelayedRank(DelayedEngine):
    """The delayed engine of a segment, for images of shape `image`, between its neighbours in `comm`."""

    def __init__(
        self,
        modules: list[Module],
        rule: Rule,
        arrays: Mapping[str, Array],
        segment: Segment,
        comm: MPI.Comm,
        image: Shape,
    ) -> None:
        super().__init__(modules, rule, arrays)
        (self.own, self.below, self.above), self.comm = segment, comm
        self.edges = shapes(modules, image)
        self.arriving: dict[int, InFlightBatch] = {}  # batches on their way to the lowest module
        self.is_flushed = {"below": True, "above": True}  # whether the last iteration's messages have crossed
        self.deferred_up: Message | None = None
        self.deferred_down: Message | None = None

    @property
    def at_once(self) -> bool:
        """Whether an activation crosses within its iteration."""
        return self.rule.boundary.lags[0] == 0

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64, NaN but for module K's, in the rank that trains it."""
        if self.below is None:
            return super().step(batch, ctx, on_gradients, update_stats)
        number = self.in_flight.begun
        self.in_flight.begun += 1
        self.arriving[number] = InFlightBatch(number, Batch(batch.x.copy(), batch.y.copy()), ctx)
        return self._iterate(None, on_gradients, update_stats)

    def finish(self, on_gradients: OnGradients) -> None:
        """Iterate without new batches until every gradient of every rank has gone to `on_gradients`."""
        self.flush()
        while self.comm.allreduce(int(not self.in_flight.is_empty)):
            self._iterate(None, on_gradients, True)
            self.flush()

    def flush(self) -> None:
        """Let the messages of the last iteration cross. Every rank calls it after the same iteration."""
        self._flush_below()
        self._flush_above()

    def _iterate(self, message: Message | None, on_gradients: OnGradients, update_stats: bool) -> Array:
        if not self.at_once or self.rule.when.first == "backward":
            self.flush()
        if self.below is not None:
            lowest = self.own.start
            message = self._receive_up() if self.at_once else self.in_flight.up[lowest - 1].popleft()
            self._flush_below()
        losses = super()._iterate(message, on_gradients, update_stats)
        self.is_flushed = {"below": self.below is None, "above": self.above is None}
        return losses

    def _send_up(self, k: int, message: Message | None) -> Message | None:
        if k != self.own.stop - 1 or self.above is None:
            return super()._send_up(k, message)
        if not self.at_once:
            self.deferred_up = message
        return None

    def _forward(
        self, k: int, message: Message | None, losses: Array, on_gradients: OnGradients, update_stats: bool
    ) -> Message | None:
        message = super()._forward(k, message, losses, on_gradients, update_stats)
        if k == self.own.stop - 1 and self.above is not None and self.at_once:
            _send(self.above, message)
            self._flush_above()
        return message

    def _send_down(self, k: int, message: Message | None) -> None:
        if k == self.own.start and self.below is not None:
            self.deferred_down = message
        else:
            super()._send_down(k, message)

    # ------------------------------------------------------------------ what crosses

    def _flush_below(self) -> None:
        if self.below is None or self.is_flushed["below"]:
            return
        self.is_flushed["below"] = True
        if not self.at_once:
            self.in_flight.up[self.own.start - 1].append(self._receive_up())
        _send(self.below, self.deferred_down)
        self.deferred_down = None

    def _flush_above(self) -> None:
        if self.above is None or self.is_flushed["above"]:
            return
        self.is_flushed["above"] = True
        if not self.at_once:
            _send(self.above, self.deferred_up)
            self.deferred_up = None
        top = self.own.stop - 1
        pending = {one.sent.number: one.sent for one in self.in_flight.pending[top]}
        self.in_flight.down[top].append(self._receive(self.above, pending, self.edges[top][1]))

    def _receive_up(self) -> Message | None:
        assert self.below is not None
        message = self._receive(self.below, self.arriving, self.edges[self.own.start][0])
        if message is not None:
            del self.arriving[message.sent.number]
        return message

    def _receive(self, neighbour: Neighbour, batches: Mapping[int, InFlightBatch], shape: Shape) -> Message | None:
        number = neighbour.receive_number()
        if number == NOTHING:
            return None
        sent = batches[number]
        dtype = next(iter(self.arrays.values())).dtype
        return Message(sent, neighbour.receive((len(sent.batch.y), *shape), dtype))

    # ------------------------------------------------------------------ a checkpoint

    def state(self) -> dict[str, np.ndarray]:
        """What is in flight at this rank's modules and on its way to them; `merged` joins those of all ranks."""
        self.flush()
        return super().state()

    def restore(self, saved: Saved, image: Shape) -> None:
        """Continue from a `state()` of one process, or from a merged one: with this rank's part of it.

        Raises: UserError where another rule, split or network wrote it, or a part is missing; then nothing has changed.
        """
        check_signature(saved, signature(self.rule, self.modules))
        check_held(saved, self.rule, self.modules)
        readers = {"tickets": 0, "up": 1, "down": 0}  # which module reads a row: its own number, or one more
        own = {
            name: np.array([row for row in rows(saved, name, length) if row[0] + readers[name] in self.own], np.int64)
            for name, length in (("tickets", 2), ("up", 3), ("down", 3))
        }
        part = {**saved, **{name: table.reshape(-1, 2 if name == "tickets" else 3) for name, table in own.items()}}
        if len(self.modules) - 1 not in self.own:
            part = {name: a for name, a in part.items() if not name.startswith("held.")}
        in_flight = InFlight.from_arrays(part, self.modules, self.arrays, self.rule.boundary, image)
        batches = saved_batches(saved, image, namespace(next(iter(self.arrays.values()))))
        on_the_way = {n for boundary, _, n in rows(saved, "up", 3) if boundary + 1 < self.own.start}
        self.in_flight, self.arriving = in_flight, {n: batches[n] for n in on_the_way}
        self.is_flushed = {"below": True, "above": True}


def merged(states: Sequence[Saved]) -> dict[str, np.ndarray]:
    """What is in flight in all ranks, as one process would have it; rank 0's state comes first."""
    whole = {name: a for state in reversed(states) for name, a in state.items()}
    for table in ("tickets", "up", "down"):
        whole[table] = np.concatenate([state[table] for state in states])
    return whole


def _send(neighbour: Neighbour, message: Message | None) -> None:
    neighbour.send_number(NOTHING if message is None else message.sent.number)
    if message is not None:
        neighbour.send(message.array)
