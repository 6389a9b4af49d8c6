"""g_{w_t}(ξ): the gradient that a rule applies in iteration t, as a function of a batch at recorded weights.

Its expectation is over ξ, and everything else is given: the weights w_t, and where a rule has delays the weights before
them. Three cases, after the three engines:

    synchronous     g is computed from w_t and ξ alone
    delayed         module k applies the gradient of an older batch, at the weights of that time: see `delayed`
    asynchronous    module k learns from an activation that older weights below it made: see `asynchronous`

The weights before w_t are not kept by training. So the last two are trained further in a copy that starts from the
Learner, with its batches in flight. They are measured at the last weights of the copy: w_t, which ∇L is taken at too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from minilocal.array import Array
from minilocal.convergence.asynchronous import AsynchronousGradients
from minilocal.convergence.copies import Batches, inner_engine
from minilocal.convergence.delayed import DelayedGradients
from minilocal.engine import AsynchronousEngine, DelayedEngine, Engine
from minilocal.layers import PassContext
from minilocal.learner import Learner
from minilocal.objectives import Batch


class Applied(Protocol):
    """The gradients that a rule applies at the weights in `arrays`, w_t."""

    @property
    def arrays(self) -> Mapping[str, Array]: ...

    def gradients(self, batch: Batch, ctx: PassContext) -> dict[str, Array]:
        """g_{w_t}(ξ) by parameter. Nothing is updated."""


class SynchronousGradients:
    """The gradients of an engine that holds nothing between steps."""

    def __init__(self, engine: Engine, arrays: Mapping[str, Array]) -> None:
        self.engine, self.arrays = engine, arrays

    def gradients(self, batch: Batch, ctx: PassContext) -> dict[str, Array]:
        grads: dict[str, Array] = {}
        self.engine.step(batch, ctx, grads.update, False)
        return grads


def applied(learner: Learner, batches: Batches, lr: float) -> Applied:
    """The gradients that this Learner's rule applies; `batches` and `lr` are for a copy that is trained further."""
    engine = inner_engine(learner)
    if isinstance(engine, DelayedEngine):
        return DelayedGradients(learner, engine, batches, lr)
    if isinstance(engine, AsynchronousEngine):
        return AsynchronousGradients(learner, engine, batches, lr)
    return SynchronousGradients(learner.engine, {**learner.parameters(), **learner.buffers()})
