"""docs/glossary.md, held: its names are in the package, and no identifier uses a word of its last column."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import minilocal as ml

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "glossary.md").read_text("utf-8")
FILES = [*ROOT.glob("minilocal/**/*.py"), *ROOT.glob("notebooks/*.py"), ROOT / "datasets.py"]
TESTS = [path for path in ROOT.glob("tests/**/*.py") if path != Path(__file__)]


class Row(NamedTuple):
    """One line of a table."""

    ours: str
    field: str
    symbol: str
    unused: str


class Unused(NamedTuple):
    """A word of the last column: part of no identifier, or no identifier alone; `outside` names the one exception."""

    word: str
    alone: bool = False
    outside: str = ""


def rows(page: str) -> list[Row]:
    """The rows of all tables, without their heads."""
    lines = [re.fullmatch(r"\| (.*?) \|(.*)\|(.*)\|(.*)\|", line) for line in page.splitlines()]
    cells = [Row(*(cell.strip() for cell in line.groups())) for line in lines if line]
    return [row for row in cells if row.ours.startswith("`")]


def unused(page: str) -> list[Unused]:
    """The words of the last column."""
    words = re.findall(r"`(\w+)`(?: outside `(\w+)`)?|\*(\w+)\*", " ".join(row.unused for row in rows(page)))
    return [Unused(code or alone, bool(alone), outside) for code, outside, alone in words]


def parts(name: str) -> str:
    """RowGrid, row_grid and ROW_GRID as row_grid."""
    return "_".join(word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def defined(text: str) -> Iterator[tuple[str, int]]:
    """Every name that a file binds, with its line: functions, classes, arguments, variables, attributes, imports as."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield name, node.lineno


@cache
def identifiers() -> dict[str, str]:
    """Every identifier of package, lessons and tests, file and folder names too, and where it is bound first.

    The name of a test is a sentence, not an identifier.
    """
    names: dict[str, str] = {}
    for path in [*FILES, *TESTS]:
        place = path.relative_to(ROOT)
        for part in place.with_suffix("").parts:
            names.setdefault(part, str(place))
        for name, line in defined(path.read_text("utf-8")):
            if not (path in TESTS and name.startswith("test_")):
                names.setdefault(name, f"{place}:{line}")
    return names


def uses(name: str, word: Unused) -> bool:
    """Whether an identifier uses a word: beside other words, or as the whole name."""
    if word.alone:
        return parts(name) == word.word
    rest = f"_{parts(name)}_".replace(f"_{word.outside}_", "_") if word.outside else f"_{parts(name)}_"
    return f"_{word.word}_" in rest


def test_there_is_something_to_hold():
    assert len(rows(PAGE)) > 50 and len(unused(PAGE)) > 50 and len(identifiers()) > 2000


@pytest.mark.parametrize("word", unused(PAGE), ids=lambda word: word.word)
def test_no_identifier_uses_a_word_that_is_not_used(word):
    assert not [f"{name} ({place})" for name, place in identifiers().items() if uses(name, word)]


@pytest.mark.parametrize("name", [name for row in rows(PAGE) for name in re.findall(r"`([\w.]+)`", row.ours)])
def test_its_words_are_the_packages(name):
    if "." not in name:
        assert any(re.search(rf"\b{name}\b", path.read_text("utf-8")) for path in FILES)
        return
    value = ml
    for part in name.split("."):
        value = getattr(value, part)


def test_a_word_is_found_where_it_is_used():
    assert {name for name, _ in defined("def climb_up(it, *rest): self.tape = x = 1\nimport a as Guess")} == {
        "climb_up", "it", "rest", "tape", "x", "Guess",
    }  # fmt: skip
    used = [
        ("climb_up", Unused("climb")), ("_Climb", Unused("climb")), ("CLIMB", Unused("climb")),
        ("FlightLog", Unused("flight", outside="in_flight")), ("_take", Unused("take", alone=True)),
    ]  # fmt: skip
    free = [
        ("climber", Unused("climb")), ("InFlightBatch", Unused("flight", outside="in_flight")),
        ("take_along_axis", Unused("take", alone=True)), ("RowGrid", Unused("rowgrid")),
    ]  # fmt: skip
    assert all(uses(*pair) for pair in used) and not any(uses(*pair) for pair in free)
