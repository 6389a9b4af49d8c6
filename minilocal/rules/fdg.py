"""FDG, fully decoupled gradients: activations and errors are both delayed by one iteration per boundary (no locking).

Zhuang, Wang, Liu and Lin, "Fully Decoupled Neural Network Learning Using Delayed Gradients", 2021. Algorithm I, with
gradient shrinking.

    iteration g = 1, 2, ...                                    every module at the same time, each on another batch
        k < K    (g_k, e) from the oldest forward kept and β × the e of module k+1 in iteration g - 1            Eq. (7)
                 w_k ← w_k - η g_k                             first the update, Eq. (5),
                 h_k = F_k(newest input; w_k)                  then the forward of batch g-k+1
        k = K    w_K ← w_K - η (gradient of iteration g - 1)
                 forward of batch g-K+1, loss with its labels, backward; the gradient is kept
        h_k goes to module k+1 and e to module k-1, for iteration g + 1

In the paper's letters, l a layer of module k, γ_t the learning rate of iteration t, g_l^t the gradient of that batch:

    θ_l^{t+1} = θ_l^t - γ_t ĝ_l^t                              Eq. (5)
    ĝ_l^t = g_l^{t-2(K-k)}                                     Eq. (6)
    ĝ_l^t = β^{K-k} g_l^{t-2(K-k)}                             Eq. (7), gradient shrinking in place of (6)

Module k runs the forward of batch b at g = b+k-1 and its backward at b+2K-k-1 (k < K): the delay is 2(K-k) iterations,
and 2(K-k) forwards are kept. So (6) is right as a delay in iterations. As the age of the weights it is off by one,
compared with the paper's own Algorithm I, which is followed here: the update comes before the forward, so there are
2(K-k) - 1 updates between a forward and its backward, and none for k = K. Before its first error (g = 2K-k; g = K+1
for k = K) a module has no update: no decay, no momentum.

β shrinks the error in each module it enters, β^{K-k} in all at module k. It differs from a smaller learning rate: decay
is not shrunk. At the end of a run the batches in flight are dropped, unless `Learner.finish(lr)` drains them.

`backward_weights`: "stashed", the weights of that forward, as the papers differentiate; "current", old activations
and the current weights, which is what the public code computes; "recompute", inputs only. The modules run the forward
of one batch in different iterations, so no single set of weights belongs to a stashed gradient.
At K = 1 this is BP once drained; at K = 2 and β = 1 its weights are those of DDG.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules import when
from minilocal.rules.compose import Rule, compose


def fdg(*, beta: float = boundaries.delayed.beta, backward_weights: str = boundaries.delayed.backward_weights) -> Rule:
    """Fully decoupled gradients: delayed activations and errors; needs at least 2K-1 batches.

    Zhuang, Wang, Liu and Lin, "Fully Decoupled Neural Network Learning Using Delayed Gradients", 2021.

    Args:
        beta: β, the factor of an error at each boundary; above 0, at most 1.
        backward_weights: the weights at which a delayed gradient is taken: stashed (those of its forward), current
            (with the activations of its forward), recompute (current, activations recomputed from the input).

    Raises: UserError for a β outside (0, 1], unknown backward weights.
    """
    boundary = boundaries.delayed(activations=1, beta=beta, backward_weights=backward_weights)
    return compose("FDG", objective=objectives.none(), boundary=boundary, when=when.always(first="backward"))
