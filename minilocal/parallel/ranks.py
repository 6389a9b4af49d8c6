"""Ranks: which modules each process of a run owns."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

from minilocal.balanced import balanced
from minilocal.errors import UserError, whole


def owned(costs: Sequence[float], processes: int) -> list[range]:
    """The modules of each rank, counted from 0: neighbours, at least one each, the largest load as small as it can be.

    `costs` are those of the modules, bottom to top, in one unit of measure.

    Raises: UserError where there are more ranks than modules, or fewer than one, and for a cost that is no number >= 0.
    """
    K = len(costs)
    if whole("processes", processes) > K:
        raise UserError(
            f"{processes} processes for {K} modules: a rank needs at least one module; "
            f"give at most {K}, or more modules."
        )
    edges = accumulate(balanced(costs, processes), initial=0)
    return [range(first, last) for first, last in pairwise(edges)]
