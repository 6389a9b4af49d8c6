"""What a message or a page tells the reader to install can be installed from a clone: the package is on no index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    path
    for pattern in ("README.md", "CONTRIBUTING.md", "Makefile", "docs/**/*.md", "minilocal/**/*.py", "notebooks/*.py")
    for path in ROOT.glob(pattern)
]


def test_no_hint_asks_an_index_for_the_package():
    # a wheel at hand asks none
    asked = re.compile(r"pip install (?!--no-index)[^\n`]*minilocal(?!-[\w.*]*\.whl)")
    assert asked.search("pip install minilocal") and not asked.search("%pip install minilocal-*.whl")
    wrong = [str(path.relative_to(ROOT)) for path in FILES if asked.search(path.read_text())]
    assert FILES and not wrong


def test_every_extra_that_is_named_exists_and_is_named():
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    named = {
        name
        for path in FILES
        for extra_list in re.findall(r"'\.\[([a-z0-9,]+)\]'", path.read_text())
        for name in extra_list.split(",")
    }
    assert named == extras
