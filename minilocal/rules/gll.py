"""GLL, greedy local learning: every module has its own loss, and boundaries are gradient-isolated.

    for k = 1 ... K
        h_k = f_k(h_{k-1}),  h_{k-1} a constant
        L_k = CE(A_k(h_k; γ_k), y)                     A_K is the network's own head
        e_k = ∂L_k/∂h_k, backward through module k only
    w_k ← w_k - η ∂L_k/∂w_k      γ_k ← γ_k - η ∂L_k/∂γ_k

Memory: one module's caches at a time.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def gll(*, aux: str = objectives.classifier.aux) -> Rule:
    """Greedy local learning.

    Args:
        aux: the auxiliary network of each module below the last: 0c1f (linear), 1c2f (convolutional), and nine more.

    Raises: UserError for an unknown auxiliary network.
    """
    return compose("GLL", objective=objectives.classifier(aux), boundary=boundaries.closed())
