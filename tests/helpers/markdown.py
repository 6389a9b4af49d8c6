"""Markdown pages and lessons: their headings as anchors, and their links."""

from __future__ import annotations

import json
import re
from pathlib import Path

LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
ATTRIBUTE = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src)=\"([^\"]+)\"")


def text_of(path: Path) -> str:
    """The Markdown of a page, or of a notebook's text cells."""
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def without_code(text: str) -> str:
    """The text without fenced blocks and without code in a line."""
    fenced = re.sub(r"^( *)(`{3,})[^\n]*\n.*?^ *\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", "", fenced)


def links(text: str) -> list[str]:
    """The targets of all links and pictures, external ones too."""
    words = without_code(text)
    return [*LINK.findall(words), *ATTRIBUTE.findall(words)]


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as GitHub and the site name them."""
    fenced = re.sub(r"^( *)(`{3,})[^\n]*\n.*?^ *\2 *$", "", text, flags=re.MULTILINE | re.DOTALL)
    counts: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", fenced, re.MULTILINE):
        slug = anchor(heading)
        names.add(slug if slug not in counts else f"{slug}-{counts[slug]}")
        counts[slug] = counts.get(slug, 0) + 1
    return names


def anchor(heading: str) -> str:
    """The anchor of one heading: small letters, hyphens for spaces, no punctuation."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
