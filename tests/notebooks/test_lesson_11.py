"""Lesson 11: the source that it shows is there, and what it says of its runs is what they gave."""

from __future__ import annotations

import inspect
import re

import pytest

import minilocal as ml
from minilocal.ops import mix
from tests.helpers.lessons import printed

NAME = "11_own_rule"
BOUNDARY = ml.boundaries.Boundary


@pytest.mark.parametrize("shown", [BOUNDARY.linked_units, BOUNDARY.weights, BOUNDARY.sends, mix])
def test_the_source_that_it_shows_is_the_source_that_is_there(shown):
    assert inspect.getsource(shown).strip() in printed(NAME), f"make lesson NAME={NAME}: {shown} has changed"


def test_the_rule_is_certified_and_the_careless_one_is_not():
    text = printed(NAME)
    assert "Fading squares: 7 of 7 claims hold" in text
    refused = re.findall(r"^NO  (.*)$", text, re.M)
    assert refused == ["gradients of units", "gradients of the losses' weights"]


def test_what_it_says_of_locks_is_what_was_measured():
    for name, measured in (
        ("Fading link", "2/2 2/2 .* kept +broken +2 units, 1 up"),
        ("GLL", "0/2 0/2 .* kept +broken +broken"),
    ):
        assert re.search(rf"^{name} +{measured}$", printed(NAME), re.M)
    assert "locks: kept kept kept" in printed(NAME)  # of the one that passes its error on


def test_what_it_says_of_bytes_is_what_was_estimated():
    way = dict(re.findall(r"^(.+?) +[\d.]+ MB +(\d+)% of the way", printed(NAME), re.M))
    assert int(way["Fading link"]) > 50 > int(way["BackLink, l = 1"])  # closer to BP, and BackLink to GLL
    assert int(way["Fading squares, inputs kept"]) < 25  # close to GLL's


def test_what_it_says_of_its_runs_is_what_they_gave():
    text = printed(NAME)
    for other in ("GLL", "BackLink, l = 1"):
        gains = seeds(text, f"{other} - Fading link")
        assert len(gains) == 4 and min(gains) < 0 < max(gains)  # below with some seeds, above with others
    gains = seeds(text, "Fading link - Fading squares")
    assert sorted(gains)[0] == 0 < sorted(gains)[1]  # lower with three of four, and equal with one
    mean = dict(re.findall(r"^(.+?) +([\d.]+) ± [\d.]+$", text, re.M))
    assert mean["Careless squares"] == mean["Fading squares"]


def seeds(text: str, gain: str) -> list[float]:
    """The points of each seed."""
    (line,) = re.findall(rf"^{re.escape(gain)}, seed by seed: (.*) points$", text, re.M)
    return [float(points) for points in line.split()]
