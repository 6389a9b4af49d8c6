"""docs/tour.md, held: its files exist, each about as long as it says, all of them within an hour's reading."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minilocal"
PAGE = (ROOT / "docs" / "tour.md").read_text("utf-8")
HOUR = 1800  # lines
TOLERANCE = 10  # lines of one file


class Stop(NamedTuple):
    """A row of the tour: a file, read whole or to a definition, of about so many lines."""

    file: str
    end: str
    about: int


def stops(page: str) -> list[Stop]:
    """The rows of the tour's table."""
    rows = re.findall(r"^\| `([\w/]+\.py)`(?:, to `([\w.]+)`)? \| (\d+) \|", page, re.MULTILINE)
    return [Stop(file, end, int(about)) for file, end, about in rows]


def lines_to_read(stop: Stop, package: Path) -> int:
    """The lines of the file, or those above the definition that the tour names."""
    text = (package / stop.file).read_text("utf-8")
    if not stop.end:
        return len(text.splitlines())
    scope: ast.AST = ast.parse(text)
    for name in stop.end.split("."):
        (scope,) = [node for node in ast.iter_child_nodes(scope) if getattr(node, "name", None) == name]
    assert isinstance(scope, ast.FunctionDef | ast.ClassDef)
    return min(node.lineno for node in (scope, *scope.decorator_list)) - 1


def broken(page: str, package: Path) -> list[str]:
    """What breaks the tour's promise: files of another length than it says, and a sum over the hour."""
    counts = [(stop, lines_to_read(stop, package)) for stop in stops(page)]
    wrong = [f"{s.file} has {n} lines, not about {s.about}" for s, n in counts if abs(n - s.about) > TOLERANCE]
    total = sum(n for _, n in counts)
    return wrong + [f"{total} lines are more than {HOUR}"] * (total > HOUR)


def test_every_row_of_the_table_is_a_stop():
    table = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(stops(PAGE)) == len(table) >= 19


@pytest.mark.parametrize("name", re.findall(r"`([\w/]+(?:\.py|/))`", PAGE))
def test_every_file_that_it_names_is_there(name):
    assert (PACKAGE / name).exists()


def test_it_is_read_in_an_hour():
    assert not broken(PAGE, PACKAGE)


def test_a_promise_that_is_broken_is_found(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n\n\ndef f():\n    pass\n")
    (tmp_path / "c.py").write_text("class C:\n    x = 1\n\n    @property\n    def f(self):\n        pass\n")
    (tmp_path / "long.py").write_text("x = 1\n" * (HOUR - 4))
    row = "| `{}.py`{} | {} | why |\n"
    assert not broken(row.format("a", "", 5) + row.format("a", ", to `f`", 13), tmp_path)
    assert lines_to_read(Stop("c.py", "C.f", 9), tmp_path) == 3
    assert broken(row.format("a", "", 16), tmp_path) == ["a.py has 5 lines, not about 16"]
    assert broken(row.format("a", ", to `f`", 14), tmp_path) == ["a.py has 3 lines, not about 14"]
    assert not broken(row.format("long", "", 1800) + row.format("a", ", to `f`", 0), tmp_path)
    assert broken(row.format("long", "", 1800) + row.format("a", "", 5), tmp_path) == ["1801 lines are more than 1800"]
    with pytest.raises(ValueError, match="not enough values"):
        broken(row.format("a", ", to `g`", 9), tmp_path)
    with pytest.raises(FileNotFoundError):
        broken(row.format("b", "", 9), tmp_path)
