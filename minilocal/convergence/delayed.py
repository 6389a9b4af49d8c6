"""g_{w_t}(ξ) of a rule with delays (DDG, FDG): each module's gradient is of older weights, and of a batch of that time.

    DDG                  g_k = ∇_k f(w^{t-(K-k)}; ξ)
    FDG, Eq. (5)-(7)     g_k = β^{K-k} times the gradient of iteration t - 2(K-k)

In iteration t the modules apply gradients of different batches. E[g] is the mean over batches, module by module, with
the weights w^{t-D}, ..., w^t held fixed. One batch ξ is therefore sent into the pipeline in each of the iterations t-D,
..., t, at the weights of that iteration. What the modules apply in iteration t is g_{w_t}(ξ).

D is the longest delay from a batch's first forward to its last gradient: K-1 in DDG, 2(K-1) in FDG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice

from minilocal.array import Array
from minilocal.convergence.copies import Batches, TrainingCopy, further
from minilocal.engine import DelayedEngine, Module
from minilocal.engine.in_flight import InFlight, Message
from minilocal.engine.module import OnGradients
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.objectives import Batch
from minilocal.rules import Rule


class DelayedGradients(DelayedEngine):
    """A delayed engine that updates nothing: before iteration i its arrays are the recorded ones, `weights[i]`."""

    def __init__(self, learner: Learner, engine: DelayedEngine, batches: Batches, lr: float) -> None:
        weights = recorded(learner, engine, batches, lr, longest_delay(learner.modules, learner.rule))
        super().__init__(learner.modules, learner.rule, weights[-1])
        self.weights, self.iteration = weights, 0

    def gradients(self, batch: Batch, ctx: PassContext) -> dict[str, Array]:
        """g_{w_t}(ξ): what the modules apply in the last of the iterations that this batch alone fills."""
        self.in_flight = InFlight.empty(len(self.modules), self.rule.boundary)
        grads: dict[str, Array] = {}
        for iteration in range(len(self.weights)):
            self.iteration, grads = iteration, {}
            self.step(batch, ctx, grads.update, False)
        self.arrays = self.weights[-1]
        return grads

    def _forward(
        self, k: int, message: Message | None, losses: Array, on_gradients: OnGradients, update_stats: bool
    ) -> Message | None:
        """Where the update comes first (FDG), a forward has the weights after it."""
        after = self.iteration + (self.rule.when.first == "backward")
        self.arrays = self.weights[min(after, len(self.weights) - 1)]
        return super()._forward(k, message, losses, on_gradients, update_stats)

    def _backward(self, k: int, on_gradients: OnGradients) -> None:
        self.arrays = self.weights[self.iteration]
        super()._backward(k, on_gradients)


def longest_delay(modules: Sequence[Module], rule: Rule) -> int:
    """D, in iterations: from a batch's first forward to the last of its gradients."""
    (activations, errors), K = rule.boundary.lags, len(modules)
    held = rule.when.first == "backward"  # module K's gradient waits for the next iteration
    return (K - 1) * activations + max((K - 1) * errors, held)


def recorded(
    learner: Learner, engine: DelayedEngine, batches: Batches, lr: float, iterations: int
) -> list[Mapping[str, Array]]:
    """The arrays before each of some further iterations, and after the last: w^{t-D}, ..., w^t."""
    copy = TrainingCopy(learner, lr)
    further_engine = DelayedEngine(learner.modules, learner.rule, copy.arrays)
    further_engine.in_flight = engine.in_flight.copy()
    weights: list[Mapping[str, Array]] = [snapshot(copy.arrays)]
    for batch, ctx in islice(further(learner, batches), iterations):
        further_engine.step(batch, ctx, copy.update, False)
        weights.append(snapshot(copy.arrays))
    return weights


def snapshot(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Copies of these arrays."""
    return {name: a.copy() for name, a in arrays.items()}
