"""The tables of wrong input hold, random words are met in one line, and the checks notice doors that are broken."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.doors import broken, command_lines, fuzz, python_calls
from tests.faults.doors.place import Place
from tests.faults.doors.tables import rows


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with command_lines.laid_out() as top:
        yield top


@pytest.fixture
def place() -> Iterator[Place]:
    with python_calls.placed() as top:
        yield top


def test_there_are_at_least_250_rows_and_none_twice() -> None:
    table = [row.what for kind in ("lines", "calls") for row in rows(kind)]
    assert len(table) >= 250 and len(set(table)) == len(table)


def test_a_third_of_the_wrong_command_lines_are_each_one_line_with_its_remedy(folder: Path) -> None:
    assert command_lines.failures(rows("lines")[::3], folder) == []  # the part tries them all


def test_every_wrong_call_is_one_line_with_its_remedy_and_changes_nothing(place: Place) -> None:
    assert python_calls.failures(rows("calls"), place) == []


def test_odd_forms_that_are_right_mean_the_same(place: Place) -> None:
    accepted = rows("accepted")
    assert accepted and python_calls.not_accepted(accepted, place) == []


def test_random_words_end_without_a_traceback() -> None:
    counts, failures = fuzz.tried(0.05)
    assert failures == [] and sum(counts.values()) > 0


def test_the_checks_notice_doors_that_are_broken(folder: Path, place: Place) -> None:
    assert [b.without for b in [*broken.of_lines(folder), *broken.of_calls(place)] if not b.red] == []
