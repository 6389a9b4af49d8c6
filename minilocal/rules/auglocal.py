"""AugLocal: greedy local learning whose auxiliary networks repeat the network's own later units.

Ma, Wu, Si and Tan, "Scaling Supervised Local Learning with Augmented Auxiliary Networks", ICLR 2024.

    L_l = CE(A_l(h_l; γ_l), y)        A_l as in `minilocal.objectives.augmented`; nothing else differs from GLL

Its modules are single units, but for the last one, of d + 1 units: `--modules auglocal:D`. So its "K = 16" on ResNet-32
is 16 - d modules, and no column of a table for 16 modules. Memory: one module's caches and its auxiliary network's.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def auglocal(*, depth: int = objectives.augmented.depth, tau: float = objectives.augmented.tau) -> Rule:
    """AugLocal: local losses behind auxiliary networks made of the network's own later units.

    Ma, Wu, Si and Tan, "Scaling Supervised Local Learning with Augmented Auxiliary Networks", 2024.

    Args:
        depth: d, the blocks of the lowest auxiliary network, 1 or more.
        tau: τ, how far their number falls towards 1 at the highest boundary, 0 (not at all) to 1.

    Raises: UserError for a depth below 1 and a τ outside [0, 1].
    """
    return compose("AugLocal", objective=objectives.augmented(depth, tau), boundary=boundaries.closed())
