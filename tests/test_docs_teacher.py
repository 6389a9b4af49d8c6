"""docs/teacher.md, held: its mistakes are the checks', its links lead to points, its sessions last 90 minutes."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from minilocal.explorer.choices import BATCHES, CHOICES, NETWORKS, counts
from minilocal.nets import get
from minilocal.streams import rng
from minilocal.teach import EXERCISES

PAGE = (Path(__file__).parents[1] / "docs" / "teacher.md").read_text("utf-8")
MISTAKES = re.findall(r"^\* `(\w+)` (.*)$", PAGE, re.MULTILINE)
LINKS = re.findall(r"`#((?:net|rule)=[^`]*)`", PAGE)


def test_every_mistake_is_one_that_a_check_tells_apart():
    known = {id_: {mistake.name for mistake in exercise.mistakes} for id_, exercise in EXERCISES.items()}
    assert [(id_, text) for id_, text in MISTAKES if id_ in known and text not in known[id_]] == []


def test_every_exercise_has_its_mistakes():
    of_lessons = {id_ for id_ in EXERCISES if id_[0].isdigit()}
    assert of_lessons <= {id_ for id_, _ in MISTAKES}


@pytest.mark.parametrize("link", LINKS)
def test_every_link_is_a_point(link):
    values = dict(parse_qsl(link, strict_parsing=True))
    assert values.keys() <= {"net", "rule", "K", "l", "alpha", "weighting", "aux", "batch"}
    choice = CHOICES[values["rule"]]
    assert values.get("net", "resnet32") in NETWORKS
    if "K" in values:
        assert int(values["K"]) in counts(len(get(values["net"], rng=rng(0)).units))
    assert values.get("aux", choice.aux[0] if choice.aux else "") in choice.aux or "aux" not in values
    assert "l" not in values or (choice.slider is not None and values["l"] in map(str, choice.slider.values))
    assert int(values.get("batch", 512)) in BATCHES and 0 <= float(values.get("alpha", 0.5)) <= 1


def test_there_is_something_to_hold():
    assert len(LINKS) >= 8 and len(MISTAKES) > 30


@pytest.mark.parametrize("number", [1, 2])
def test_a_session_lasts_90_minutes(number):
    session = PAGE.partition(f"### Session {number}")[2].partition("\n##")[0]
    assert sum(map(int, re.findall(r"^\| (\d+) \|", session, re.MULTILINE))) == 90
