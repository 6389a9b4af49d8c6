"""Defaults, arguments by name, frozen classes and constants are as written in declared.txt.

A run whose file names no momentum has the default's: to change one changes what runs compute. So a change is made
twice, in the code and, by `python -m tests.helpers.declared > tests/declared.txt`, there; and users read of it in
CHANGELOG.md.
"""

from __future__ import annotations

from difflib import unified_diff
from importlib import import_module
from pathlib import Path

import pytest

from tests.helpers.declared import PARTS, declared


def test_what_the_parts_declare_is_as_it_was():
    kept = Path(__file__).with_name("declared.txt").read_text()
    changed = list(unified_diff(kept.splitlines(), declared().splitlines(), "declared.txt", "now", lineterm="", n=0))
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_lists_its_public_names_and_has_them_all(part):
    module = import_module(f"minilocal.{part}")
    listed = getattr(module, "__all__", [])
    assert all(hasattr(module, name) for name in listed)
    if "__dir__" in vars(module):
        assert dir(module) == sorted(listed)
