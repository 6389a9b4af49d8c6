"""The leaves of a nested cache, and the nest with others in their places."""

from __future__ import annotations

import numpy as np

from minilocal.layers.norm import NormCache
from minilocal.tree import tree_leaves, tree_replace


def test_leaves_are_distinct_in_order_and_can_be_replaced():
    a, b, c = (np.full(2, v) for v in (1.0, 2.0, 3.0))
    nest = {0: (a, None, (2, 3)), 1: [NormCache(b, None, a, c, None)]}
    assert [x[0] for x in tree_leaves(nest, excluded=c)] == [1, 2]
    other = tree_replace(nest, [a, b], [a + 10, b + 10])
    assert other[1][0].mean is other[0][0] and other[0][0][0] == 11 and other[1][0].r is c and other[0][2] == (2, 3)
    assert isinstance(other[1][0], NormCache) and nest[0][0] is a
