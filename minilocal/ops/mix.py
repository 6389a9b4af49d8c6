"""The gradient of a linked unit: the local one and the one from above, weighted."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.array import Array
from minilocal.ops.dispatch import op_on

Pairs = Sequence[tuple[Array, Array]]  # (g_loc, g_glb) of a parameter, of one shape


@op_on(lambda pairs, *_: pairs[0] if pairs else ())
def mix(pairs: Pairs, a: float, b: float) -> None:
    """g = a g_loc + b g_glb for every pair, in the memory of g_loc. g_glb may be overwritten. Any shapes.

    BackLink, Eq. (6), with the factors a, b of Eq. (4) and (5).
    """
    for g_loc, g_glb in pairs:
        g_loc *= a
        g_glb *= b
        g_loc += g_glb  # Eq. (6)
