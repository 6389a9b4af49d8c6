"""The README: its links lead somewhere, and its commands are commands."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from minilocal.cli import COMMANDS
from minilocal.rules import NAMES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
NUMBERS = {12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen"}
LINES = [line for block in BLOCKS for line in block.splitlines()]


def test_every_file_that_it_names_is_there():
    named = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"|`((?:minilocal|docs)/[^`]*)`", README)
    paths = ["".join(groups) for groups in named]
    assert len(paths) > 15
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("minilocal ")])
def test_a_command_is_taken_as_it_is_pasted(line):
    name, *words = shlex.split(line, comments=True)[1:]
    importlib.import_module(f"minilocal.cli.{name}").parser().parse(words)


def test_every_line_to_paste_is_known():
    """A clone is set up by make, and the environment that it makes is entered before anything is called."""
    first = [line.split()[0] for line in LINES]
    assert first[:2] == ["make", "source"] and set(first[2:]) == {"minilocal"}
    assert LINES[1] == "source .venv/bin/activate"


def test_it_counts_the_rules_and_has_a_row_for_each():
    more, rows = len(NAMES) - 3, re.findall(r"^\| (\w+), ", README, re.M)
    assert f"(BackLink) and {NUMBERS[more]} more rules." in README
    assert {row.lower() for row in rows} == {*NAMES}


def test_every_command_that_it_names_exists():
    assert {command for command in re.findall(r"`minilocal ([a-z]+)", README)} <= set(COMMANDS)
