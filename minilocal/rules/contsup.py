"""ContSup, context supply: greedy local learning in which every module is given the image, or earlier inputs, again.

Yu, Zhang, Ma, Wang and Li, "Go beyond End-to-End Training: Boosting Greedy Local Learning with Context Supply", 2023.

    h'_k = h_k + E_k(x) + R_k(h'_{k-1}),  all three sources constants           as in `minilocal.boundaries.supply`
    h_{k+1} = f_{k+1}(h'_k)
    L_{k+1} = CE(A_{k+1}(h_{k+1}; γ_{k+1}), y)          trains w_{k+1}, γ_{k+1}, E_k and R_k

E_k and R_k belong to module k+1, and stay at test time: the network that is tested is larger than the one it began as.
So the baseline is BP on the enlarged network, `bp(context="E")`. Memory: one module's caches, with its encoders'.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def contsup(*, context: str = boundaries.context.source, aux: str = "1c2f") -> Rule:
    """ContSup: local losses, and the image or the input of the module below supplied to every module as a context.

    Yu and others, "Go beyond End-to-End Training: Boosting Greedy Local Learning with Context Supply", 2023.

    Args:
        context: what crosses upward besides h: image (E), below (R1), both (R1E), none (R0, which is GLL).
        aux: the auxiliary network of each module below the last: 0c1f (linear), 1c2f (convolutional), and nine more.

    Raises: UserError for an unknown context, and an unknown auxiliary network.
    """
    supply = boundaries.context(context)
    return compose("ContSup", objective=objectives.classifier(aux), boundary=boundaries.closed(), context=supply)
