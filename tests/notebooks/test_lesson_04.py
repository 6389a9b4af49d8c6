"""Lesson 4: the source that it shows is today's, and what it says of its runs is what they gave."""

from __future__ import annotations

import inspect
import re

import pytest

import minilocal as ml
from minilocal import equations as eq
from tests.helpers.lessons import code, printed, row

NAME = "04_backlink"
SHOWN = [eq.link, eq.link_below, eq.link_below_unfolded, eq.update_linked, inspect.getmodule(ml.rules.backlink)]


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: thing.__name__)
def test_the_source_that_lesson_4_shows_is_the_source_that_is_there(thing):
    assert inspect.getsource(thing).strip() in printed(NAME), f"make lesson NAME={NAME}"


def test_the_text_of_algorithm_1_that_lesson_4_shows_is_the_text_that_is_there():
    assert (inspect.getdoc(eq.algorithm_1) or "none") in printed(NAME), f"make lesson NAME={NAME}"


def test_what_lesson_4_says_of_its_runs_is_what_they_gave():
    text = printed(NAME)
    seeds = row(text, "GLL - BackLink, seed by seed")
    assert len(seeds) == 4 and min(seeds) > 0  # BackLink ends below GLL with each of the four seeds,
    after, by_module = text.split("after the last epoch")[1].split("one image is")
    bp, gll, backlink = (row(after, name)[0] for name in ("BP", "GLL", "BackLink, l = 1, α = 0.5"))
    assert bp < backlink < gll  # and on the mean above BP
    of_gll, of_backlink = (row(by_module, name) for name in ("GLL", "BackLink, l = 1, α = 0.5"))
    first, second, *others = (ours - theirs for ours, theirs in zip(of_backlink, of_gll, strict=True))
    assert first > 3 and abs(second) < 3 and max(others) < -3  # the first errs more, the second as often, the last less


def test_what_lesson_4_says_of_guess_2_is_what_its_cosines_gave():
    counts = re.findall(r"closer to BP than GLL in (\d) of (\d) linked layers", printed(NAME))
    assert len(counts) == 2 and all(int(all_) - int(closer) <= 1 for closer, all_ in counts)


def test_the_bytes_that_lesson_4_says_wait_are_those_of_its_figures():
    gll, backlink = (alt for alt in alts(NAME) if alt.startswith("mlp by"))
    waiting = [re.findall(r"and (\S+) MB while others work", alt) for alt in (gll, backlink)]
    assert waiting[0] == ["0.00"] * 4 and waiting[1][3] == "0.00" and "0.00" not in waiting[1][:3]


def alts(name):
    return [
        output.metadata["image/png"]["alt"]
        for cell in code(name)
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
