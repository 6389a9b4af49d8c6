"""DDG, decoupled parallel backpropagation: errors are delayed by one iteration per boundary (no backward locking).

Huo, Gu, Yang and Huang, "Decoupled Parallel Backpropagation with Convergence Guarantee", 2018. Algorithm 1.

    iteration t = 0, 1, ...
    for k = 1 ... K                                            in order: forward locking stays
        h_k^t = F_k(h_{k-1}^t; w_k^t)                          its caches are kept
    for k = 1 ... K                                            at the same time
        k = K    (g, e) from the loss of batch t               no delay
        k < K    (g, e) from the forward of batch t - (K-k), and the e of module k+1 in iteration t - 1
        w_k^{t+1} = w_k^t - η g         no update while t < K-k, when there is no g: no decay, no momentum either
    in one line, as the paper differentiates:  w_k^{t+1} = w_k^t - η ∇_{w_k} f_{batch t-K+k}(w^{t-K+k})

Module k keeps K-k forwards between iterations; in steady state its weights are updated K-k times between a forward and
its backward. Batches stay in flight across epochs. At a run's end they are dropped, as in the public code: the last K-k
gradients of module k are lost, unless `Learner.finish(lr)` drains them.

`backward_weights`: the paper differentiates at the weights of the forward ("stashed": weight stashing, one copy of a
module's weights per pending forward). The public code keeps the old activations and reads the current weights
("current"), so its result is neither the old gradient nor the new one. "recompute" keeps inputs only.
At K = 1 this is BP.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def ddg(*, backward_weights: str = boundaries.delayed.backward_weights) -> Rule:
    """Decoupled parallel backpropagation: delayed backward passes; needs at least K batches.

    Huo, Gu, Yang and Huang, "Decoupled Parallel Backpropagation with Convergence Guarantee", 2018.

    Args:
        backward_weights: the weights at which a delayed gradient is taken: stashed (those of its forward), current
            (with the activations of its forward), recompute (current, activations recomputed from the input).

    Raises: UserError for unknown backward weights.
    """
    return compose("DDG", objective=objectives.none(), boundary=boundaries.delayed(backward_weights=backward_weights))
