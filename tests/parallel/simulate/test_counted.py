"""Costs by counting: multiply-adds at a rate, by hand for an mlp."""

from __future__ import annotations

import pytest

import minilocal as ml
from minilocal import UserError
from minilocal.parallel.simulate import Placement, simulate
from minilocal.parallel.simulate.counted import Counted

NET = ml.nets.mlp((20, 30), channels=1, size=4, rng=ml.rng(0))  # 16 → 20 → 30 → 10


def test_the_costs_of_an_mlp_by_hand():
    learner = ml.Learner(NET, ml.rules.gll(), 2, rng=ml.rng(0))
    lower, upper = Counted(NET, 8, 1e6).modules(learner.modules)
    macs, weights = (16 * 20, 20 * 30), (16 * 20 + 20, 20 * 30 + 30)
    for part, adds, size in zip(lower.units, macs, weights, strict=True):
        assert part.forward == pytest.approx(8 * adds / 1e6)
        assert (part.backward, part.backward_weights) == pytest.approx((2 * part.forward, part.forward))
        assert part.parameters == 4 * size and part.update == pytest.approx(2 * size / 1e6)
    assert [part.output for part in lower.units] == [4 * 8 * 20, 4 * 8 * 30]
    assert lower.input == 4 * 8 * 16 and upper.input == lower.output
    assert lower.objective is not None and lower.objective.forward > 0  # its classifier
    assert upper.units[0].forward == pytest.approx(8 * 30 * 10 / 1e6)


def test_twice_the_rate_is_half_the_time_without_messages():
    learner = ml.Learner(NET, ml.rules.bp(), 2, rng=ml.rng(0))
    one, two = (Placement(learner.rule, Counted(NET, 8, r).modules(learner.modules), [range(2)]) for r in (1e6, 2e6))
    assert simulate(one).step == pytest.approx(2 * simulate(two).step)


@pytest.mark.parametrize("rate", [0, -1.0, float("inf")])
def test_a_rate_that_is_none(rate):
    with pytest.raises(UserError, match="rate"):
        Counted(NET, 8, rate)
