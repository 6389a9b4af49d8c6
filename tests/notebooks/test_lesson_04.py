"""Lesson 4: the source that it shows is today's, and what it says of its runs is what they gave."""

from __future__ import annotations

import inspect
import re

import pytest

import minilocal as ml
from minilocal import equations as eq
from tests.helpers.lessons import code, printed, row

NAME = "04_backlink"
SHOWN = [
    eq.link, eq.link_below, eq.link_below_unfolded, eq.update_linked,
    ml.boundaries.link.linked_units, ml.boundaries.link.weights,
]  # fmt: skip


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: thing.__name__)
def test_the_source_that_lesson_4_shows_is_the_source_that_is_there(thing):
    assert inspect.getsource(thing).strip() in printed(NAME), f"make lesson NAME={NAME}"


def test_the_loops_of_algorithm_1_that_lesson_4_shows_are_those_that_are_there():
    loops, _, others = (inspect.getdoc(eq.algorithm_1) or "").partition("\n`layers` are")
    assert others and "loop 1" in loops and "loop 2" in loops
    assert loops in printed(NAME), f"make lesson NAME={NAME}"


def test_what_lesson_4_says_of_its_runs_is_what_they_gave():
    text = printed(NAME)
    by_epoch = text.split("mean of the seeds, by epoch")[1].split("after the last epoch")[0]
    assert row(by_epoch, "GLL")[2] < row(by_epoch, "BackLink, l = 1, α = 0.5")[2]  # after epoch 3 GLL is ahead
    seeds = row(text, "GLL - BackLink, seed by seed")
    assert len(seeds) == 4 and min(seeds) > 0  # BackLink ends below GLL with each of the four seeds,
    after, by_module = text.split("after the last epoch")[1].split("one image is")
    bp, gll, backlink = (row(after, name)[0] for name in ("BP", "GLL", "BackLink, l = 1, α = 0.5"))
    assert bp < backlink < gll  # and on the mean above BP
    of_gll, of_backlink = (row(by_module, name) for name in ("GLL", "BackLink, l = 1, α = 0.5"))
    first, second, *others = (ours - theirs for ours, theirs in zip(of_backlink, of_gll, strict=True))
    assert first > 3 and abs(second) < 3 and max(others) < -3  # the first errs more, the second as often, the last less


def test_what_lesson_4_says_of_guess_2_is_what_its_cosines_gave():
    lines = re.findall(r"α = +(\S+): closer to BP than GLL in (\d) of (\d) linked layers", printed(NAME))
    assert [alpha for alpha, *_ in lines] == ["0.75", "0.5", "0.25", "0.0"] * 2
    for alpha, closer, linked in lines:
        if alpha == "0.75":
            assert closer == linked  # in every linked layer,
        elif alpha == "0.5":
            assert int(linked) - int(closer) <= 1  # in all but one,
        else:
            assert 3 * int(closer) == 2 * int(linked)  # in two of three


def test_the_layers_that_lesson_4_says_see_the_reading_are_those_that_did():
    assert re.findall(r"another direction in layers (.+)", printed(NAME)) == ["none", "[1, 3, 5]"]


def test_the_bytes_that_lesson_4_says_wait_are_those_of_its_figures():
    gll, backlink = (alt for alt in alts(NAME) if alt.startswith("mlp by"))
    waiting = [re.findall(r"and (\S+) MB while others work", alt) for alt in (gll, backlink)]
    assert waiting[0] == ["0.00"] * 4 and waiting[1][3] == "0.00" and "0.00" not in waiting[1][:3]
    first, *others = (float(mb) for mb in re.findall(r"it keeps (\S+) MB", gll))
    assert first < min(others)  # module 1 keeps less: the batch is not counted


def alts(name):
    return [
        output.metadata["image/png"]["alt"]
        for cell in code(name)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
