"""The rows of the tables in lines/ and calls/: what is tried, and the words of the message that say what to do.

A row is a line, `what  =>  words`; `#` starts a comment. Words that begin with `TypeError: ` allow it, which
is documented there, in place of a UserError.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BETWEEN = "  =>  "


@dataclass(frozen=True)
class Row:
    """A command line without `minilocal`, or a call; and the remedy that its message must hold."""

    table: str
    what: str
    remedy: str


def rows(kind: str) -> list[Row]:
    """All rows of `kind`, lines or calls."""
    found = []
    for path in sorted((Path(__file__).parent / kind).glob("*.txt")):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                what, between, remedy = line.partition(BETWEEN)
                assert between and remedy.strip(), f"{path.name}: no remedy in {line!r}"
                found.append(Row(path.stem, what.strip(), remedy.strip()))
    return found
