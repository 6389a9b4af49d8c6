"""DDG: the error goes all the way, one iteration late per boundary, so all modules go backward at the same time.

Huo, Gu, Yang and Huang, "Decoupled Parallel Backpropagation with Convergence Guarantee", 2018. Algorithm 1.

    iteration t = 0, 1, ...
    for k = 1 ... K                                            in order: forward locking stays
        h_k^t = F_k(h_{k-1}^t; w_k^t)                          keep this forward
    for k = 1 ... K                                            at the same time
        k = K    (g, e) from the loss of batch t               no delay
        k < K    (g, e) from the forward of batch t - (K-k), and the e that module k+1 made in iteration t - 1
        w_k^{t+1} = w_k^t - η g         while t < K-k there is no g, and nothing moves: no decay, no momentum
    in one line, as the paper differentiates:  w_k^{t+1} = w_k^t - η ∇_{w_k} f_{batch t-K+k}(w^{t-K+k})

Module k keeps K-k forwards between iterations; in steady state its weights have moved K-k times between a forward and
its backward. What crosses iterations outlives epochs; at the end of a run the errors in flight are dropped, as in the
public code: the last K-k gradients of module k are lost, unless `Learner.finish(lr)` drains them.

`backward_weights`: the paper differentiates at the weights of the forward ("stashed", one copy of a module's weights
per forward that waits). The public code keeps the old activations and reads the weights of the day ("current"), so
its result is neither the old gradient nor the new one. "recompute" keeps inputs only.
At K = 1 this is BP.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def ddg(*, backward_weights: str = boundaries.delayed.backward_weights) -> Rule:
    """Decoupled parallel backpropagation: delayed backward passes; needs at least K batches.

    Huo, Gu, Yang and Huang, "Decoupled Parallel Backpropagation with Convergence Guarantee", 2018.

    Args:
        backward_weights: of which weights a late gradient is taken: stashed (those of its forward), current (with its
            activations), recompute (activations made again from the input).

    Raises: UserError for unknown backward weights.
    """
    return compose("DDG", objective=objectives.none(), boundary=boundaries.delayed(backward_weights=backward_weights))
