"""Docstrings of this package as reStructuredText. They are written to be read in the source:

`name`               code                         x   "two spaces"   and a column: a list of names
indented lines       kept as they are             Args:   and indented `name: text`
Raises: ...          a field                      what it does.        x (N, C)  →  (N, O): a field for the shapes
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

ENTRY = re.compile(r"^ {4}([\w*]+(?:, [\w*]+)*): (.*(?:\n {5,}.*)*)", re.MULTILINE)
ROW = re.compile(r"\S.*?\S?\s{2,}(?=\S)")
KEPT = ".. code-block:: text"
FIELDS = {"Args:": "param", "Attributes:": "ivar"}
NAMES = re.compile(r"[\w, ]+")
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
SHAPES = re.compile(r"\s{6,}(?=\S)")


def prose(text: str) -> str:
    """Words as reStructuredText: `code` is code, and nothing else is markup."""
    parts = CODE.split(text)
    words = [re.sub(r"([\\*_|])", r"\\\1", part) for part in parts[::2]]
    words = [re.sub(r"^\((?=[\w]+\))|^([-+•]|\w+\.)(?= )", r"\\\g<0>", word) if word else word for word in words]
    out = words[0]
    for code, after in zip(parts[1::2], words[1:], strict=True):
        before, behind = (r"\ " if letter.isalnum() else "" for letter in (out[-1:], after[:1]))
        out += f"{before}``{code}``{behind}{after}"
    return out


def indented(text: str, by: str = "    ") -> list[str]:
    return [f"{by}{line}".rstrip() for line in text.splitlines()]


def table(block: list[str]) -> list[tuple[str, str]]:
    """The rows of a block in two columns, a name and a text that begins in one column throughout; else nothing."""
    first = ROW.match(block[0])
    if not first or "→" in block[0] or (len(block) == 1 and not NAMES.fullmatch(first[0].strip())):
        return []
    column, rows = first.end(), []
    for line in block:
        if line[:column].strip() and line[column - 2 : column] == "  " and line[column:].strip():
            rows.append([line[:column].strip(), line[column:]])
        elif rows and not line[:column].strip():
            rows[-1][1] += f" {line.strip()}"
        elif line[0] != " " and (own := ROW.match(line)) and own.end() > column:
            rows.append([line[: own.end()].strip(), line[own.end() :]])
        else:
            return []
    return [(name, text) for name, text in rows]


def block_of(block: list[str]) -> Iterator[str]:
    """One block, the lines between two empty ones."""
    text = "\n".join(block)
    if block[0].startswith(">>> "):
        yield from block
    elif block[0] in FIELDS:
        for names, words in ENTRY.findall("\n".join(block[1:])):
            for name in names.split(", "):
                yield f":{FIELDS[block[0]]} {name}: {prose(' '.join(words.split()))}"
    elif all(line.startswith("    ") for line in block):
        yield from [KEPT, "", *block]
    elif rows := table(block):
        for name, words in rows:
            yield from [f"``{name.strip('`')}``", f"    {prose(words)}"]
    elif any(line.startswith("    ") for line in block):
        yield from [KEPT, "", *indented(text)]
    else:
        yield from paragraph(" ".join(block))


def paragraph(text: str) -> Iterator[str]:
    """Sentences, then what they raise, warn of and which shapes they have, as fields."""
    words, *raised = re.split(r"(?:^|(?<=\. )|(?<= ))(?=Raises: )", text, maxsplit=1)
    words, *shapes = SHAPES.split(words.strip(), maxsplit=1)
    if words:
        yield from [prose(words), ""] if shapes or raised else [prose(words)]
    if shapes:
        yield f":Shapes: {prose(shapes[0].strip())}"
    if raised:
        error, *warned = re.split(r"(?<=[.;]) (?=Warns )", raised[0].removeprefix("Raises: "), maxsplit=1)
        yield f":Raises: {prose(error)}"
        if warned:
            yield f":Warns: {prose(warned[0].removeprefix('Warns '))}"


def rst(lines: list[str]) -> list[str]:
    """A docstring, line by line."""
    out, kept = [], False  # whether the block before was one of lines that are kept as they are
    for text in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines).strip("\n")):
        made = list(block_of(text.split("\n"))) if text else []
        out += [*(made[2:] if kept and made[:1] == [KEPT] else made), ""]
        kept = made[:1] == [KEPT]
    return out


def convert(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = rst(lines)


class Dashes(SphinxPostTransform):
    """The dash behind a parameter's name, which Sphinx leaves to `smartquotes`: that would change `--seed` too."""

    default_priority = 500

    def run(self, **kwargs: Any) -> None:
        for text in list(self.document.findall(lambda node: isinstance(node, nodes.Text) and node == " -- ")):
            text.parent.replace(text, nodes.Text(" – "))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_post_transform(Dashes)
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True}
