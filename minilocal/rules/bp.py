"""BP: one loss, and its error goes down the whole network.

    for k = 1 ... K        h_k = f_k(h_{k-1})
    L = CE(head(h_K), y)
    for k = K ... 1        (g_k, e_{k-1}) = the error e_k walked down module k
    w ← w - η g

K changes nothing but what `keep="inputs"` keeps: then a module's caches are made again from its input when the error
arrives (gradient checkpointing at module boundaries), for one more forward. Every other rule at K = 1 is this one.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def bp(*, keep: str = Rule.keep, accumulate: int = Rule.accumulate) -> Rule:
    """Backpropagation.

    Args:
        keep: what a module keeps until its error comes: caches, or inputs (gradient checkpointing: computed again).
        accumulate: micro-batches, each with its own batch statistics, whose mean gradient makes a step; 1 or more.

    Raises: UserError for anything else.
    """
    return compose("BP", objective=objectives.none(), boundary=boundaries.open(), keep=keep, accumulate=accumulate)
