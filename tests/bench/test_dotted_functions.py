"""Workers are asked for functions by dotted strings, which no tool renames: each of them must name a function."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import minilocal
from minilocal.bench.worker import resolve

TOP = Path(minilocal.__file__).parents[1]
SOURCES = [*(TOP / "minilocal").rglob("*.py"), *(TOP / "docs").rglob("*.py"), *(TOP / "tests").rglob("*.py")]


def dotted() -> list[str]:
    """Every string "minilocal.module:function" in the package, the documentation's scripts and the tests."""
    strings = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings |= set(re.findall(r"^minilocal[\w.]*:\w+$", node.value))
    return sorted(strings)


def test_the_workers_functions_are_among_them():
    assert {"minilocal.bench.workload:setup", "minilocal.bench.roofline:measure"} <= set(dotted())


@pytest.mark.parametrize("name", dotted())
def test_a_dotted_string_names_a_function(name):
    assert callable(resolve(name))
