"""Lesson 6: the source that it shows, and what it says of its runs."""

from __future__ import annotations

import inspect
import re

import pytest

from minilocal.parallel import synchronous
from tests.helpers.lessons import printed, row

NAME = "06_parallel"
RANK = synchronous.SynchronousRank
RULES = ["BP", "GLL", "BackLink, l = 1", "DDG", "FDG"]


@pytest.mark.parametrize(
    "shown",
    [synchronous.Exchange, synchronous.exchange_at, RANK._send_up, RANK._share_above, RANK._update_linked],
    ids=lambda thing: thing.__name__,
)
def test_the_source_that_it_shows_is_the_source_that_is_there(shown):
    assert inspect.getsource(shown).strip() in printed(NAME), f"make lesson NAME={NAME}: {shown} has changed"


def test_two_ranks_have_trained_to_the_same_bits():
    lines = re.findall(r"^(\w+) +largest difference of \d+ arrays: 0; the same bits: True$", printed(NAME), re.M)
    assert lines == ["bp", "gll", "backlink", "ddg", "fdg"]


def test_what_it_says_of_its_runs_is_what_they_gave():
    _, text = printed(NAME).split("step in % of BP's on one device, mean of")
    table, rest = text.split("cores here")
    steps = {name: row(table, name) for name in RULES}
    assert min(steps["BP"]) >= 99.9  # BP gains nothing
    for name in RULES[1:]:
        assert sorted(steps[name], reverse=True) == steps[name], name  # each doubling is a gain
        assert all(step > ideal for step, ideal in zip(steps[name][1:], (50, 25, 12.5, 6.25), strict=True))
    (_, two, *_, most), (_, gll_two, *_, gll_most) = steps["BackLink, l = 1"], steps["GLL"]
    assert abs(two - gll_two) < 1 and 1.6 < most / gll_most < 2.4  # as fast at K = 2, about twice the step at K = 16

    even, better = map(float, re.findall(r"^\[.*\]: (\S+) % of BP's step", rest, re.M))
    assert better < even
    fast, slow = rest.split(" MB a second")[1:3]
    names = ["GLL", *(f"BackLink, l = {length}" for length in (1, 2, 4))]
    losses = {name: row(slow, f"  {name}")[0] - row(fast, f"  {name}")[0] for name in names}
    assert min(losses.values()) > 3 and max(losses, key=losses.__getitem__) == "BackLink, l = 2"  # it loses most
    assert 1.6 < row(fast, "  BackLink, l = 4")[0] / row(fast, "  GLL")[0] < 2.2  # the step nearly doubles
