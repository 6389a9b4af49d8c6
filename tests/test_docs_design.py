"""docs/design.md, held: its files exist, and its layout is the order of imports."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_layout import ORDER

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minilocal"
PAGE = (ROOT / "docs" / "design.md").read_text("utf-8")
LAYOUT = PAGE.partition("\n## Layout\n")[2].partition("\n## ")[0]
PATHS = sorted(set(re.findall(r"`((?:[\w-]+/)*[\w-]+(?:\.py|/))`", PAGE)))


def parts(layout: str) -> list[str]:
    """The files and folders in the first column of the layout, in order."""
    rows = [line.split("|")[1] for line in layout.splitlines() if line.startswith("| `")]
    return [name.removesuffix(".py") for row in rows for name in re.findall(r"`(\w+(?:\.py)?)/?`", row)]


def test_there_is_something_to_hold():
    assert len(PATHS) > 40


@pytest.mark.parametrize("name", PATHS)
def test_every_file_that_it_names_is_there(name):
    assert any((folder / name).exists() for folder in (PACKAGE, ROOT))


def test_its_layout_is_the_order_of_imports():
    existing = [part for part in ORDER if (PACKAGE / part).exists() or (PACKAGE / f"{part}.py").exists()]
    assert parts(LAYOUT) == existing


def test_a_part_is_read_with_and_without_its_ending():
    assert parts("| part | idea |\n|---|---|\n| `a.py`, `b/` | `c/` is not a part |\n| `d/` | |\n") == ["a", "b", "d"]
