"""Interlocking backpropagation: every module learns from one loss, n modules up.

Gomez, Key, Perlin, Gou, Frosst, Dean and Gal, "Interlocking Backpropagation: Improving depthwise model-parallelism",
Journal of Machine Learning Research, 2022: pairwise (n = 1) and N-wise, of which "N-wise" with N losses is n = N - 1.

    m(k) = min(k + n, K)                           the furthest loss that module k is trained by, and the only one
    for every j
        h_j = f_j(h_{j-1});  L_j = CE(A_j(h_j; γ_j), y)         A_K is the network's own head
        e = ∂L_j/∂h_j;  γ_j ← γ_j - η ∂L_j/∂γ_j                 an auxiliary network learns from its own loss only
        e passes through modules j, j-1, ... j-n; module k takes gradients from that with j = m(k) alone

n = 0 is GLL, n = 1 BackLink with the whole module linked and α = 0, n ≥ K-1 BP on the main weights; then nothing learns
from the auxiliary networks, which go on learning. Work: of a module's backwards at most n are for input errors alone,
and one is for both, so its step is up to n + 3 forwards long, where BP's is 3. Memory: the caches of n + 1 modules.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def interlocking(
    *,
    reach: int = boundaries.reach.modules,
    aux: str = objectives.classifier.aux,
    keep: str = Rule.keep,
) -> Rule:
    """Interlocking backpropagation: each module learns from the loss n modules up.

    Gomez and others, "Interlocking Backpropagation: Improving depthwise model-parallelism", 2022.

    Args:
        reach: n, the modules below its own that an error enters: 0 (GLL), 1 (pairwise), ...; K-1 is BP.
        aux: the auxiliary network of each module below the last: 0c1f (linear), 1c2f (convolutional), and nine more.
        keep: what a module keeps until the last error arrives: caches, or inputs (activation checkpointing).

    Raises: UserError for a reach below 0, and an unknown auxiliary network.
    """
    return compose("Interlocking", objective=objectives.classifier(aux), boundary=boundaries.reach(reach), keep=keep)
