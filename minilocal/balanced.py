"""A cut into parts of equal load: the contiguous partition whose largest part costs least.

`minilocal.split.balanced` cuts units into modules by it, and `minilocal.parallel.owned` modules into ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from minilocal.errors import UserError, real, whole

Extra = Callable[[int, int, int], float]  # (k, first, last): what module k, of units first to last - 1, costs besides
Cut = tuple[list[float], tuple[int, ...]]  # costs of modules with a minus, largest cost first; their unit counts


def balanced(costs: Sequence[float], modules: int, extra: Extra | None = None) -> list[int]:
    """The number of units of each of `modules` modules: the largest cost of a module is as small as it can be.

    costs   of each unit, 0 or more
    extra   extra(k, first, last) is the cost of module k, of units first to last - 1, besides its units'

    Of those cuts the second largest cost is smallest, then the third, and so on; of cuts with the same costs, the first
    modules are the larger ones. So units of one cost are cut as by `split.sizes`.

    Raises: UserError where there are more modules than units, or fewer than one, and for a cost that is no number >= 0.
    """
    n, K = len(costs), whole("modules", modules)
    if n < K:
        raise UserError(f"K = {K} modules for a network of {n} units: give 1 to {n}.")
    costs = [real(f"the cost of unit {u}:", cost, 0, math.inf, "[)") for u, cost in enumerate(costs, 1)]

    def with_module(k: int, first: int, last: int, above: Cut) -> Cut:
        cost = math.fsum(costs[first:last]) + (extra(k, first, last) if extra else 0.0)
        return sorted([*above[0], -cost]), (last - first, *above[1])

    best: dict[int, Cut] = {n: ([], ())}  # {first: the best cut of units first to n - 1 into modules k to K - 1}
    for k in reversed(range(K)):
        best = {
            first: max(with_module(k, first, last, above) for last, above in best.items() if last > first)
            for first in range(k, n - K + k + 1)
        }
    return list(best[0][1])
