"""What a part of `make trust` gives: how many cases it tried, how many held, and whether its checks can fail."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from minilocal.record import atomic_write


@dataclass(frozen=True)
class Figure:
    """A row of the part's table: of `tried` cases, `held` ended as they should."""

    what: str
    tried: int
    held: int
    remark: str = ""


@dataclass(frozen=True)
class Broken:
    """A check run with what it relies on taken out: of `tried` cases it must find at least one, `red`."""

    without: str
    tried: int
    red: int


@dataclass(frozen=True)
class Measured:
    """All of a part. `failures` are the cases that did not hold, a line each; `text` is Markdown for the page."""

    figures: list[Figure]
    broken: list[Broken] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    text: str = ""

    @property
    def holds(self) -> bool:
        """Every case held, and every check was red without what it relies on."""
        return not self.failures and all(f.held == f.tried for f in self.figures) and all(b.red for b in self.broken)


def write(path: Path, measured: Measured, facts: dict[str, Any]) -> None:
    """`measured` and the facts of its run as JSON, written aside and renamed."""
    text = json.dumps({**facts, **asdict(measured)}, indent=1, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(text.encode())


def rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON that grows, none where there is no file; one that was cut short is left out."""
    kept = []
    for line in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError):
            kept.append(json.loads(line))
    return kept


def read(path: Path) -> tuple[Measured, dict[str, Any]]:
    """What `write` wrote."""
    facts = json.loads(path.read_text())
    figures = [Figure(**row) for row in facts.pop("figures")]
    broken = [Broken(**row) for row in facts.pop("broken")]
    return Measured(figures, broken, facts.pop("failures"), facts.pop("text")), facts
