"""Bytes over a period: PGL's average and its peak, as its paper's Table 2 averages them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from minilocal import UserError, rules
from minilocal.memory import estimate, over_period
from minilocal.memory.period import phases
from minilocal.rules.when import When, periodic
from tests.memory.steps import RESNET8


def test_pgl_needs_bps_memory_in_q_of_p_epochs(host):
    P, Q, K = 10, 2, 3
    memory = over_period(RESNET8, rules.pgl(period=P, duration=Q, aux="1c2f"), K, 16, machine=host)
    gll, bp = (estimate(RESNET8, rule, K, 16, machine=host) for rule in (rules.gll(aux="1c2f"), rules.bp()))
    assert memory.local == gll and memory.peak == memory.guided
    assert memory.peak.activations == bp.activations > gll.activations
    for part in ("step", "total", "activations"):
        local, guided = getattr(memory.local, part), getattr(memory.guided, part)
        assert memory.average(part) == pytest.approx((Q * guided + (P - Q) * local) / P, rel=1e-12)
    assert memory.local.step < memory.average() < memory.peak.step


def test_a_rule_whose_epochs_are_alike_has_one_number(host):
    memory = over_period(RESNET8, rules.gll(), 2, 8, machine=host)
    assert memory.share == 0 and memory.average() == memory.peak.step == memory.local.step
    assert memory.average("total") == memory.peak.total


def test_bad_input_is_one_line(host):
    memory, wrong = over_period(RESNET8, rules.gll(), 2, 8, machine=host), cast(Any, over_period)
    for call, words in [
        (lambda: memory.average("stepp"), "part 'stepp' is not known; did you mean 'step'?"),
        (lambda: memory.average("at"), "part 'at' is not known"),
        (lambda: wrong(RESNET8, "pgl", 2, 8), "rule 'pgl' is no rule"),
    ]:
        with pytest.raises(UserError) as caught:
            call()
        assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "when, expected",
    [
        (periodic(10, 2), {0: 0.8, 8: 0.2}),
        (periodic(10, 2, includes=False), {0: 10 / 12, 10: 2 / 12}),
        (periodic(5, 0), {0: 1.0}),
        (periodic(5, 5), {0: 1.0}),
        (periodic(3, 1), {0: 2 / 3, 2: 1 / 3}),
        (rules.gll().when, {0: 1.0}),
    ],
)
def test_phases_are_first_epochs_and_their_shares(when, expected):
    assert phases(when) == pytest.approx(expected)


def test_the_share_of_another_schedule_is_counted():
    class Last(When):
        def is_global(self, epoch: int) -> bool:
            return epoch % 4 == 3

    assert phases(Last()) == pytest.approx({0: 0.75, 3: 0.25})
