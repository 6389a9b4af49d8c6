"""One iteration of a rule with delays. Every module works on the batch that has reached it, and on the error that has.

    for every module k, bottom to top
        forward     the activation that arrives from below goes through module k and is sent up; the batch is pending
                    module K computes its loss and its error at once, and sends the error down
        backward    the error that arrives from above, times β, goes through module k for its oldest pending batch:
                    the module is updated, and the error at its input is sent down
    backward comes before forward where `when` says so; then module K's gradients are held until the next iteration

A boundary is two queues. Every iteration pushes one item to each of them, None if there is nothing, and pops one. The
delay is therefore the queue's length, and errors match pending batches by order alone; no batch index is needed. Until
its first error has arrived a module gets no gradient: nothing in it changes, not even by decay or momentum.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minilocal.array import Array, namespace
from minilocal.engine.in_flight import (
    InFlight,
    InFlightBatch,
    Message,
    PendingBackward,
    check_held,
    check_signature,
    signature,
)
from minilocal.engine.module import Module, OnGradients, Saved
from minilocal.layers import PassContext
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule


class DelayedEngine:
    """The engine of rules whose errors arrive in a later iteration than the one that made them."""

    holds_batches = True

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        self.modules, self.rule, self.arrays = modules, rule, arrays
        self.own = range(len(modules))  # the modules that this process trains
        self.in_flight = InFlight.empty(len(modules), rule.boundary)

    @property
    def batches_in_flight(self) -> list[int]:
        """The number of batches whose error is pending at each module."""
        return [len(pending) for pending in self.in_flight.pending]

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """Losses (K,), float64: module K's, of the batch that it forwarded; NaN where there was none, and elsewhere.

        The batch is copied, since it is needed in later iterations.

        Raises: OutOfMemory.
        """
        sent = InFlightBatch(self.in_flight.begun, Batch(batch.x.copy(), batch.y.copy()), ctx)
        self.in_flight.begun += 1
        return self._iterate(Message(sent, sent.batch.x), on_gradients, update_stats)

    def held_arrays(self) -> list[list[Array]]:
        """What is in flight at each module and on its way to it."""
        return self.in_flight.by_module()

    def finish(self, on_gradients: OnGradients) -> None:
        """Iterate without new batches until every gradient has gone to `on_gradients`."""
        while not self.in_flight.is_empty:
            self._iterate(None, on_gradients, True)

    def _iterate(self, message: Message | None, on_gradients: OnGradients, update_stats: bool) -> Array:
        xp = namespace(next(iter(self.arrays.values())))
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        for k in self.own:
            if self.rule.when.first == "backward":  # FDG, Algorithm I: weights are one update younger than Eq. (6) says
                self._backward(k, on_gradients)
                message = self._forward(k, message, losses, self.in_flight.held.update, update_stats)
            else:
                message = self._forward(k, message, losses, on_gradients, update_stats)
                self._backward(k, on_gradients)
            message = self._send_up(k, message)
        return losses

    def _forward(
        self, k: int, message: Message | None, losses: Array, on_gradients: OnGradients, update_stats: bool
    ) -> Message | None:
        """The message for the module above. The last module sends its error down instead; the others are pending."""
        if k == len(self.modules) - 1:
            error = None if message is None else self._last_module(message, losses, on_gradients, update_stats)
            self._send_down(k, error)
            return None
        if message is None:
            return None
        (sent, h), module, keep = message, self.modules[k], self.rule.boundary.backward_weights
        pending = PendingBackward(sent, h)
        if keep == "stashed":
            pending.weights = {name: self.arrays[name].copy() for name in module.parameters()}
        h, caches = module.forward(h, sent.ctx, self.arrays, update_stats, keep=keep != "recompute")
        pending.caches = None if keep == "recompute" else caches
        self.in_flight.pending[k].append(pending)
        return Message(sent, h)

    def _last_module(
        self, message: Message, losses: Array, on_gradients: OnGradients, update_stats: bool
    ) -> Message | None:
        """Forward, loss and backward of one batch with one set of weights; the error for the module below."""
        (sent, h), k, module = message, len(self.modules) - 1, self.modules[-1]
        h, caches = module.forward(h, sent.ctx, self.arrays, update_stats)
        losses[k], error, grads = module.local_loss(h, sent.batch, sent.ctx, self.arrays, update_stats)
        on_gradients(grads)
        down = module.backward(error, caches, self.arrays, k > 0, lambda u, grads: on_gradients(grads))
        return None if down is None else Message(sent, down)

    def _backward(self, k: int, on_gradients: OnGradients) -> None:
        """The backward of module k for the error that has arrived. Module K applies what it held."""
        if k == len(self.modules) - 1:
            held, self.in_flight.held = self.in_flight.held, {}
            on_gradients(held)
            return
        message = self.in_flight.down[k].popleft()
        self._send_down(k, None if message is None else self._backward_pending(k, message, on_gradients))

    def _backward_pending(self, k: int, message: Message, on_gradients: OnGradients) -> Message | None:
        """The backward of module k for its oldest pending batch; the error for the module below."""
        pending, module, (sent, error) = self.in_flight.pending[k].popleft(), self.modules[k], message
        assert pending.sent is sent, f"module {k + 1}: batch {pending.sent.number} met another's error"
        p = self.arrays if pending.weights is None else pending.weights
        caches = pending.caches
        if caches is None:
            caches = module.forward(pending.input, sent.ctx, p, False)[1]
        beta = float(self.rule.boundary.beta)
        error = error if beta == 1 else error * beta  # FDG, Eq. (7): at each module once, so β^{K-k} in all
        down = module.backward(error, caches, p, k > 0, lambda u, grads: on_gradients(grads))  # FDG, Eq. (5); DDG
        return None if down is None else Message(sent, down)

    def _send_up(self, k: int, message: Message | None) -> Message | None:
        """Into the boundary above module k; what comes out of it at its other end. The last module has none."""
        if k == len(self.modules) - 1:
            return None
        self.in_flight.up[k].append(message)
        return self.in_flight.up[k].popleft()

    def _send_down(self, k: int, message: Message | None) -> None:
        """Into the boundary under module k; the first module has none."""
        if k > 0:
            self.in_flight.down[k - 1].append(message)

    def memory_advice(self, images: Array, epoch: int) -> str:
        """Nothing: what is held depends on the delays, not on one batch."""
        return ""

    def state(self) -> dict[str, np.ndarray]:
        """All that is in flight, as named host copies; see `in_flight`."""
        return self.in_flight.to_arrays(signature(self.rule, self.modules))

    def restore(self, saved: Saved, image: Shape) -> None:
        """Continue from a `state()`.

        Raises: UserError where another rule, split or network wrote it, or a part is missing; then nothing has changed.
        """
        check_signature(saved, signature(self.rule, self.modules))
        check_held(saved, self.rule, self.modules)
        self.in_flight = InFlight.from_arrays(saved, self.modules, self.arrays, self.rule.boundary, image)
