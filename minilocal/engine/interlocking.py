"""One step of interlocking backpropagation: the error of each loss is propagated through whole modules.

Gomez, Key, Perlin, Gou, Frosst, Dean and Gal, "Interlocking Backpropagation", 2022: pairwise (n = 1) and N-wise.

    m(k)                                            the module whose loss module k learns from; min(k + n, K) there
    for every module j, bottom to top
        h_j = f_j(h_{j-1});   L_j, e = ∂L_j/∂h_j          γ_j learns from L_j alone
        for every module k = j, j-1, ... down to the lowest with m(k) = j
            g_k = e through module k, where m(k) = j      gradients of the weights, from this loss only
            e ← e at the input of module k                by input errors only where m(k) > j

A module keeps its caches, or with keep="inputs" its input, until the error comes that gives its gradients. They are
final then, and the weights may be updated: no later error comes so far down. A loss that no module learns from trains
its auxiliary network and sends no error.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.array import Array, namespace
from minilocal.engine.divided import ErrorSlot
from minilocal.engine.module import Caches, OnGradients
from minilocal.engine.synchronous import SynchronousEngine
from minilocal.layers import PassContext
from minilocal.layers.base import Need
from minilocal.layers.module_input import entering
from minilocal.objectives import Batch


@dataclass
class Waiting:
    """A module whose gradients are still to come: its caches, or its input in their place, and its context."""

    caches: Caches | None
    input: Array | None
    ctx: PassContext


class InterlockingEngine(SynchronousEngine):
    """The engine of boundaries that say which one loss each module learns from. It holds nothing between steps."""

    def source(self, k: int) -> int:
        """m(k): the module whose loss module k learns from."""
        source = self.rule.boundary.learns_from(k, len(self.modules) - 1)
        assert source is not None
        return source

    def lowest(self, j: int) -> int | None:
        """The lowest module that learns from the loss of module j; None where none does."""
        return self.rule.boundary.lowest_learner(j, len(self.modules) - 1)

    def step(self, batch: Batch, ctx: PassContext, on_gradients: OnGradients, update_stats: bool) -> Array:
        """As the synchronous engine's; in a global epoch (PGL) it is that one's."""
        if self.rule.when.is_global(ctx.epoch):
            return super().step(batch, ctx, on_gradients, update_stats)
        xp, p, boundary = namespace(batch.x), self.arrays, self.rule.boundary
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        waiting: dict[int, Waiting] = {}
        h, _, ctx = self._receive(batch, ctx, boundary)
        for j in self.own:
            module, has_learner = self.modules[j], self.lowest(j) is not None
            ctx = entering(ctx, h, module.first)
            kept = h if self.rule.keep == "inputs" and self.source(j) > j else None
            h, caches = module.forward(h, ctx, p, update_stats, keep=has_learner or kept is None)
            self._send_up(j, len(module.units), h, ctx)
            need: Need = "both" if has_learner else "weights"
            losses[j], error, grads = module.local_loss(h, batch, ctx, p, update_stats, need)
            on_gradients(grads)
            del grads
            waiting[j] = Waiting(caches if has_learner or kept is None else None, kept, ctx)
            del caches, kept
            if has_learner:
                error_slot: ErrorSlot = [error]
                del error
                self._send_down(self._backward_of_loss(j, waiting, error_slot, on_gradients))
        self._await_losses_above(waiting, on_gradients)
        return losses

    def _backward_of_loss(
        self, j: int, waiting: dict[int, Waiting], error_slot: ErrorSlot, on_gradients: OnGradients
    ) -> Array | None:
        """Backpropagate the error of L_j, in the slot, through the modules of this process.

        The error that leaves the lowest of them; None where it ends before.
        """
        lowest = self.lowest(j)
        assert lowest is not None
        for k in reversed(range(max(lowest, self.own.start), min(j + 1, self.own.stop))):
            module, learns = self.modules[k], self.source(k) == j
            caches = self._caches(k, waiting)
            if learns:
                del waiting[k]
            else:
                caches = dict(caches)  # a backward empties what it gets
                if waiting[k].input is not None:
                    waiting[k].caches = None

            def on_unit(u: int, grads: dict[str, Array]) -> None:
                if grads:
                    on_gradients(grads)

            goes_on = k > lowest
            error_slot.append(module.backward(error_slot.pop(), caches, self.arrays, goes_on, on_unit, 0, learns))
            if not goes_on:
                return None
        return error_slot.pop()

    def _caches(self, k: int, waiting: dict[int, Waiting]) -> Caches:
        """The caches of a waiting module; recomputed where only its input was kept. Updates no statistics."""
        caches, input = waiting[k].caches, waiting[k].input
        if caches is not None:
            return caches
        assert input is not None
        return self.modules[k].forward(input, waiting[k].ctx, self.arrays, False)[1]

    def _await_losses_above(self, waiting: dict[int, Waiting], on_gradients: OnGradients) -> None:
        """Backpropagate the errors of the process above: there is none."""
