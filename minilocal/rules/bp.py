"""BP, backpropagation: one loss, whose error passes through the whole network.

    for k = 1 ... K        h_k = f_k(h_{k-1})
    L = CE(head(h_K), y)
    for k = K ... 1        (g_k, e_{k-1}) = backward of module k, of the error e_k
    w ← w - η g

`keep="inputs"` is activation checkpointing at module boundaries: a module keeps its input only, and recomputes its
caches when the error arrives, for one more forward. K changes nothing else. Every other rule at K = 1 is BP. With a
`context` the network is the one that ContSup tests, with encoders at the inputs of modules: its baseline, of one size.
"""

from __future__ import annotations

from minilocal import boundaries, objectives
from minilocal.rules.compose import Rule, compose


def bp(*, keep: str = Rule.keep, accumulate: int = Rule.accumulate, context: str = Rule.context.source) -> Rule:
    """Backpropagation.

    Args:
        keep: what a module keeps until its error arrives: caches, or inputs (activation checkpointing).
        accumulate: micro-batches, each with its own batch statistics, whose mean gradient makes a step; 1 or more.
        context: none, or ContSup's encoders at the inputs of modules: image (E), below (R1), both (R1E).

    Raises: UserError for any other keep or context, and fewer than 1 micro-batch.
    """
    supply = boundaries.context(context)
    name = "BP" if supply == Rule.context else "BP with contexts"
    return compose(
        name, objective=objectives.none(), boundary=boundaries.open(), keep=keep, accumulate=accumulate, context=supply
    )
