"""Lesson 3: the source that it shows is today's, and what it says of its runs is what they gave."""

from __future__ import annotations

import inspect
import re

import pytest

import minilocal as ml
from minilocal import equations as eq
from tests.helpers.lessons import printed

NAME = "03_local_losses"
SHOWN = [eq.local_errors, eq.update_local, inspect.getmodule(ml.rules.gll)]
RULES = ["BP", "GLL, K = 2", "GLL, K = 4", "GLL, K = 8"]


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: thing.__name__)
def test_the_source_that_lesson_3_shows_is_the_source_that_is_there(thing):
    assert inspect.getsource(thing).strip() in printed(NAME), f"make lesson NAME={NAME}"


def table(head):
    """{rule: its numbers, the ends of its modules} of the table under this head."""
    lines = printed(NAME).split(head)[1].splitlines()[1:]
    rows = {name: next(line.removeprefix(name) for line in lines if line.startswith(f"{name}  ")) for name in RULES}
    return {
        name: ([float(n) for n in re.findall(r"[\d.]+", line)], [n for n, c in enumerate(line.split(), 1) if "|" in c])
        for name, line in rows.items()
    }


def test_what_lesson_3_says_of_its_runs_is_what_they_gave():
    probes, heads = (table(f"test error (%) of {what}") for what in ("linear probes", "each module's own classifier"))
    bp, two, four, eight = (probes[name][0] for name in RULES)
    for gll in (two, four, eight):  # in the first four units a plane reads more from GLL's networks
        assert all(ours < theirs for ours, theirs in zip(gll[:4], bp[:4], strict=True))
    assert (
        max(bp[-3:]) < bp[3] / 2 and min(eight[4:]) > 0.75 * eight[3]
    )  # BP's falls to less than half, K = 8 hardly moves
    assert all(ours < theirs for ours, theirs in zip(four[4:], eight[4:], strict=True))  # K = 4 lies between
    assert all(ours > theirs for ours, theirs in zip(four[4:], bp[4:], strict=True))
    assert two[-1] < two[3] / 2 and abs(two[-1] - bp[-1]) < 3  # with K = 2 the row falls as BP's does,
    assert all(ours < theirs for ours, theirs in zip(two, bp, strict=True))  # and is below it at every unit
    bp, two, four, eight = (heads[name][0][-1] for name in RULES)
    assert abs(two - bp) < 1 and two < four < eight  # about as BP's does, with four more, and with eight most
    own, tops = heads["GLL, K = 8"][0], probes["GLL, K = 8"][1]
    assert len(own) == len(tops) == 8  # 3d: the module's own classifier errs far more often than the probe
    assert all(ours > 1.25 * probes["GLL, K = 8"][0][top - 1] for ours, top in zip(own, tops, strict=True))


def test_what_lesson_3_says_of_one_step_is_what_it_was():
    kept = re.findall(r"module 1 keeps (\S+) kB when module 2 begins", printed(NAME))
    assert len(kept) == 2 and float(kept[0]) > 0 and float(kept[1]) == 0  # BP, GLL: nothing


def test_the_stop_gradient_matters_in_the_modules_below_the_last_alone():
    rows = re.findall(r"^(\S+\.weight) +(\S+) +(\S+)$", printed(NAME), re.M)
    assert len(rows) == 8
    for name, isolated, connected in rows:
        below = name in [f"layers.{u}.weight" for u in range(4)]
        assert float(isolated) < 1e-9 and (float(connected) > 0.01) == below, name
