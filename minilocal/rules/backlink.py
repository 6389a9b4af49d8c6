"""BackLink: every module has its own loss, and its last l units also learn from the next module's.

Guo, Fouda, Eltawil and Salama, "Supervised Local Training With Backward Links for Deep Neural Networks", IEEE
Transactions on Artificial Intelligence, 2023. Algorithm 1; equations (4) to (6).

    for k = 1 ... K                                forward
        h_k = f_k(h_{k-1});   L_k = CE(A_k(h_k; γ_k), y)
        e_k = ∂L_k/∂h_k, backward through module k       the local error: all units, and E_k arrives at the bottom
    for k = 1 ... K-1                              in any order
        E_{k+1} backward through l units of module k, and no further
    the unit j steps below the top takes  g = a_j g_loc + b_j g_glb                               Eq. (4), (5), (6)
        literal    a_j = α^(j+1), b_j = (1-α)^(j+1)        unfolded    a_j = α, b_j = 1-α
    units below the range, auxiliary networks and module K: as in GLL

Where module k+1 < K is linked to its first unit, three errors can be meant by the δⁿ⁺¹ of (4):

    own           E_{k+1} of module k+1's own loss; the loops run in any order, as printed ("in parallel")
    own-scaled    a E_{k+1}, with a = a_j of that first unit
    total         a E_{k+1} + b (the error from above at the same place); such modules form a chain: they run from the
                  top down, and keep what backpropagation keeps

A link longer than its module stops at the first unit; length="module" asks for that. l = 0 or α = 1 is GLL. Memory:
one module's caches, and those of l units of the module below.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def backlink(
    *,
    length: int | str = boundaries.link.length,
    alpha: float = boundaries.link.alpha,
    aux: str = objectives.classifier.aux,
    weighting: str = boundaries.link.weighting,
    error: str = boundaries.link.error,
    keep: str = Rule.keep,
) -> Rule:
    """BackLink: the last units of each module also learn from the loss of the module above.

    Guo, Fouda, Eltawil and Salama, "Supervised Local Training With Backward Links for Deep Neural Networks", 2023.

    Args:
        length: l, the number of those units, counted from the module's top: 0 (GLL) or more, or "module" for all.
        alpha: α, the weight of the module's own loss there, 0 to 1; 1 is GLL.
        aux: the auxiliary network of each module below the last: 0c1f (linear), 1c2f (convolutional), and nine more.
        weighting: literal (α and 1-α once more for each unit further down, as in Eq. 5) or unfolded (α once).
        error: which error of the module above arrives: own (of its own loss), own-scaled, or total (a chain).
        keep: what linked units keep until that error arrives: caches, or inputs (activation checkpointing).

    >>> backlink(length=2, alpha=0.25).boundary.weights(0)
    (0.25, 0.75)

    Raises: UserError for a length below 0, an α outside [0, 1], an unknown weighting, error or auxiliary network.
    """
    boundary = boundaries.link(length, alpha, weighting, error)
    return compose("BackLink", objective=objectives.classifier(aux), boundary=boundary, keep=keep)
