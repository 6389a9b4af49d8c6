"""docs/notation.md, held: its names are in the package, and its flags and keys exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minilocal as ml
from minilocal.config import FLAGS, TABLES
from minilocal.rules.option_docs import options_of

PAGE = (Path(__file__).parents[1] / "docs" / "notation.md").read_text("utf-8")
OPTIONS = {
    f"rule.{option.name}"
    for name in (*ml.rules.NAMES, ml.rules.COMPOSED)
    for option in options_of(ml.rules.constructor(name), name)
}
KEYS = {f"{name}.{key}" for name, table in TABLES.items() for key in table.__struct_fields__} | OPTIONS


class Row(NamedTuple):
    """One line of a table: the symbol, what it is, its names in the code, and its flags or keys."""

    symbol: str
    names: list[str]
    flags: list[str]


def rows(page: str) -> list[Row]:
    """The rows of all tables, without their heads."""
    lines = []
    for line in page.splitlines():
        if line.startswith("| ") and not line.startswith("| symbol"):
            symbol, _, code, *others = (cell.strip() for cell in line.strip("|").split("|"))
            lines.append(Row(symbol, re.findall(r"`([^`]+)`", code), re.findall(r"`([^`]+)`", " ".join(others[:1]))))
    return lines


def named(name: str) -> Any:
    """What `ml.rules.fdg(beta)` names: the function, once it is seen to have that argument, or to return it.

    Raises: AttributeError, KeyError for a name that is not there.
    """
    path, _, argument = name.rstrip(")").partition("(")
    first, *parts = path.split(".")
    assert first == "ml", f"{name} begins with ml."
    thing: Any = ml
    for part in parts:
        thing = getattr(thing, part)
    if argument:
        inspect.signature(thing).parameters[argument]
    return thing


ROWS = rows(PAGE)


def test_there_is_something_to_hold():
    assert len(ROWS) > 40 and sum(len(row.names) for row in ROWS) > 40 and sum(len(row.flags) for row in ROWS) > 15


@pytest.mark.parametrize("name", sorted({name for row in ROWS for name in row.names}))
def test_every_name_is_in_the_package(name):
    assert named(name) is not None


@pytest.mark.parametrize("flag", sorted({flag for row in ROWS for flag in row.flags}))
def test_every_flag_and_key_exists(flag):
    assert flag in FLAGS if flag.startswith("--") else flag in KEYS


@pytest.mark.parametrize("name", ["ml.rules.nosuch", "ml.rules.fdg(gamma)"])
def test_a_name_that_is_not_there_is_refused(name):
    with pytest.raises((AttributeError, KeyError)):
        named(name)


def test_every_flag_of_a_paper_s_letter_has_a_row():
    """The flags of numbers that papers have a letter for."""
    assert {"--length", "--alpha", "--modules", "--aux", "--lr", "--momentum", "--weight-decay", "--batch-size"} <= {
        flag for row in ROWS for flag in row.flags
    }
