"""One iteration of a rule with delays. Every module works on the batch that has reached it, and on the error that has.

    for every module k, bottom to top
        forward     what arrives from below climbs module k; a ticket waits here for its error, h_k is sent up
                    module K hears the loss at once, by that batch's own labels, and sends its error down
        backward    the error that arrives from above, times β, walks down module k with the oldest ticket:
                    the gradients are taken, so the module is updated, and the error at its bottom is sent down
    backward and forward change places where `when` says so; then module K's gradients are held until the next iteration

A boundary is two queues: what is sent up leaves `up` iterations later, what is sent down `down` iterations later.
Every iteration puts one thing into each queue and takes one out, if only nothing. So no index says which batch is
where: a delay is the length of a queue, and an error meets its ticket because both keep the order of the batches.
Until the first error has arrived, a module takes no gradient: nothing moves in it, not even by decay or momentum.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from minilocal.array import Array, namespace
from minilocal.boundaries.delayed import DelayedBoundary as Lateness
from minilocal.engine import stowage
from minilocal.engine.in_flight import InFlightBatch, Message, PendingBackward
from minilocal.engine.module import Module, OnGradients, Saved
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule

Queue = deque[Message | None]


class DelayedEngine:
    """The engine of rules whose errors arrive in a later iteration than the one that made them."""

    holds_batches = True

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        assert isinstance(rule.boundary, Lateness)
        self.modules, self.rule, self.boundary, self.arrays = modules, rule, rule.boundary, arrays
        self.begun = 0  # batches that have entered
        self.tickets: list[deque[PendingBackward]] = [deque() for _ in modules]  # per module, the oldest first
        self.upward: list[Queue] = [
            self._queue(self.boundary.activations) for _ in modules[1:]
        ]  # into the upper module
        self.downward: list[Queue] = [self._queue(self.boundary.errors) for _ in modules[1:]]  # into the lower module
        self.held: dict[str, Array] = {}  # module K's gradients, where backward comes first

    @staticmethod
    def _queue(lag: int) -> Queue:
        return deque([None] * lag)  # up + down a boundary, (K-k) of them: FDG, Eq. (6), 2(K-k); DDG, t - (t-K+k)

    @property
    def in_flight(self) -> list[int]:
        """How many batches wait for their error at each module."""
        return [len(tickets) for tickets in self.tickets]

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64: module K's, of the batch that it forwarded; NaN where there was none, and elsewhere.

        The batch is copied, since it outlives the call.
        """
        flight = InFlightBatch(self.begun, Batch(batch.x.copy(), batch.y.copy()), ctx)
        self.begun += 1
        return self._iterate(Message(flight, flight.batch.x), on_gradients, update_stats)

    def finish(self, on_gradients: OnGradients) -> None:
        """Iterations without a new batch, until every gradient has been taken."""
        while any(self.in_flight) or self.held or any(parcel for queue in self.upward for parcel in queue):
            self._iterate(None, on_gradients, True)

    def _iterate(self, parcel: Message | None, on_gradients: OnGradients, update_stats: bool) -> Array:
        xp = namespace(next(iter(self.arrays.values())))
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        for k in range(len(self.modules)):
            if self.rule.when.first == "backward":  # FDG, Algorithm I: weights are one update younger than Eq. (6) says
                self._backward(k, on_gradients)
                parcel = self._forward(k, parcel, losses, self.held.update, update_stats)
            else:
                parcel = self._forward(k, parcel, losses, on_gradients, update_stats)
                self._backward(k, on_gradients)
            if k < len(self.modules) - 1:
                self.upward[k].append(parcel)
                parcel = self.upward[k].popleft()
        return losses

    def _forward(
        self, k: int, parcel: Message | None, losses: Array, on_gradients: OnGradients, update_stats: bool
    ) -> Message | None:
        """What arrived climbs module k; the last module answers at once, the others wait with a ticket."""
        if k == len(self.modules) - 1:
            self._send_down(k, None if parcel is None else self._answer(parcel, losses, on_gradients, update_stats))
            return None
        if parcel is None:
            return None
        (flight, h), module, keep = parcel, self.modules[k], self.boundary.backward_weights
        ticket = PendingBackward(flight, h, None if keep == "recompute" else {})
        if keep == "stashed":
            ticket.weights = {name: self.arrays[name].copy() for name in module.parameters()}
        for u in range(len(module.units)):
            h, cache = module.forward(u, h, flight.ctx, self.arrays, update_stats)
            if ticket.caches is not None:
                ticket.caches[u] = cache
            del cache
        self.tickets[k].append(ticket)
        return Message(flight, h)

    def _answer(self, parcel: Message, losses: Array, on_gradients: OnGradients, update_stats: bool) -> Message:
        """The last module: forward, loss and backward of one batch, with one set of weights."""
        (flight, h), k, module = parcel, len(self.modules) - 1, self.modules[-1]
        h, caches = module.forward_all(h, flight.ctx, self.arrays, update_stats)
        losses[k], error, grads = module.local_loss(h, flight.batch, flight.ctx, self.arrays, update_stats)
        on_gradients(grads)
        return Message(flight, module.backward(error, caches, self.arrays, k > 0, lambda u, grads: on_gradients(grads)))

    def _backward(self, k: int, on_gradients: OnGradients) -> None:
        """The error that arrived walks down module k; module K takes what it held."""
        if k == len(self.modules) - 1:
            held, self.held = self.held, {}
            on_gradients(held)
            return
        parcel = self.downward[k].popleft()
        self._send_down(k, None if parcel is None else self._walk(k, self.tickets[k].popleft(), parcel, on_gradients))

    def _walk(self, k: int, ticket: PendingBackward, parcel: Message, on_gradients: OnGradients) -> Message:
        (flight, error), module, beta = parcel, self.modules[k], float(self.boundary.beta)
        assert ticket.flight is flight, f"module {k + 1}: batch {ticket.flight.number} met another's error"
        p = self.arrays if ticket.weights is None else ticket.weights
        caches = ticket.caches
        if caches is None:
            caches = module.forward_all(ticket.entry, flight.ctx, p, False)[1]
        error = error if beta == 1 else error * beta  # FDG, Eq. (7): at each module once, so β^{K-k} in all
        return Message(
            flight, module.backward(error, caches, p, k > 0, lambda u, grads: on_gradients(grads))
        )  # FDG, Eq. (5); DDG

    def _send_down(self, k: int, parcel: Message | None) -> None:
        """Into the boundary under module k; under the first module nobody listens."""
        if k > 0:
            self.downward[k - 1].append(parcel)

    def state(self) -> dict[str, np.ndarray]:
        """All that is in flight, as named arrays; see `stowage`."""
        return stowage.stow(self)

    def restore(self, saved: Saved, image: Shape) -> None:
        """Goes on with what `state` said.

        Raises: UserError where it was made by another rule, split or network; then nothing has changed.
        """
        stowage.unstow(self, saved, image)
