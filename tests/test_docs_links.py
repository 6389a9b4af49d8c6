"""Links between pages, held: every file that one names is there, and every #anchor is a heading of that file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.helpers.markdown import anchor, anchors, links, text_of

ROOT = Path(__file__).parents[1]
FOLDERS = ("*.md", "docs/**/*.md", "notebooks/*.ipynb", "notebooks/student/*.ipynb")
PAGES = sorted(path for pattern in FOLDERS for path in ROOT.glob(pattern))
EXTERNAL = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@cache
def anchors_of(path: Path) -> set[str]:
    return anchors(text_of(path))


def faults(path: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere."""
    wrong = []
    for target in links(text):
        if EXTERNAL.match(target):
            continue
        name, _, fragment = unquote(target).partition("#")
        file = (path.parent / name).resolve() if name else path
        if name and not file.exists():
            wrong.append(f"{target}: there is no such file")
        elif fragment and file.suffix in (".md", ".ipynb"):
            known = anchors_of(file) if name else anchors(text)
            if fragment not in known:
                wrong.append(f"{target}: no heading of it has this anchor")
        elif not file.is_relative_to(ROOT):
            wrong.append(f"{target}: leaves the repository")
    return wrong


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    assert faults(path, text_of(path)) == []


def test_links_are_found_and_judged(tmp_path):
    text = (
        "# A page\n## What, again?\n## What, again?\n[a](#what-again-1) ![p](no.svg)\n"
        "[b](data.md#there) [c](#nowhere)\n"
        '`[code](runs.md)` [x](https://example.org) <img width="1" src="gone.png">\n'
        "```sh\n# not a heading\n[d](runs.md)\n```\n"
    )
    (tmp_path / "data.md").write_text("# Here\n")
    assert anchors(text) == {"a-page", "what-again", "what-again-1"}
    assert faults(tmp_path / "tour.md", text) == [
        "no.svg: there is no such file",
        "data.md#there: no heading of it has this anchor",
        "#nowhere: no heading of it has this anchor",
        "gone.png: there is no such file",
    ]


def test_anchors_are_those_of_github():
    assert anchor("A6. What is N_k?") == "a6-what-is-n_k"
    assert anchor("Measuring σ") == "measuring-σ"
    assert anchor("`ml.fit`, [and](data.md) **more**") == "mlfit-and-more"
