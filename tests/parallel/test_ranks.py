"""Ranks: the modules that each one owns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minilocal as ml
from minilocal.parallel import owned


@pytest.mark.parametrize(
    ("costs", "processes", "expected"),
    [
        ([1, 1, 1, 1], 2, [range(2), range(2, 4)]),
        ([1, 1, 1, 1, 1], 2, [range(3), range(3, 5)]),
        ([5, 1, 1, 1], 2, [range(1), range(1, 4)]),
        ([1, 1, 1, 5.5], 3, [range(2), range(2, 3), range(3, 4)]),
        ([0, 0], 2, [range(1), range(1, 2)]),
        ([3], 1, [range(1)]),
    ],
)
def test_a_rank_owns_neighbours_and_the_largest_load_is_smallest(costs, processes, expected):
    assert owned(costs, processes) == expected


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=9), st.data())
def test_every_module_has_one_rank_and_every_rank_a_module(costs, data):
    ranks = owned(costs, data.draw(st.integers(1, len(costs))))
    assert [k for rank in ranks for k in rank] == list(range(len(costs))) and all(ranks)


@pytest.mark.parametrize(
    ("costs", "processes", "line"),
    [
        ([1, 1], 3, "3 processes for 2 modules: a rank needs at least one module; give at most 2, or more modules."),
        ([1, 1], 0, "processes = 0: give a whole number, 1 or more."),
        ([1, 1], 1.5, "processes = 1.5"),
        ([1, -1], 2, "the cost of unit 2: -1 is outside [0, inf)"),
    ],
)
def test_wrong_numbers_are_refused_in_a_line(costs, processes, line):
    with pytest.raises(ml.UserError) as caught:
        owned(costs, processes)
    assert line in str(caught.value) and "\n" not in str(caught.value)
