"""What pyproject.toml asks for, and the oldest versions that it allows."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?(?P<bounds>[<>=!~][\w.,<>=!~ ]*)?")


@dataclass(frozen=True)
class Requirement:
    """A package by its normal name, and the bounds of its versions as written: ">=8.2,<10", or ""."""

    name: str
    bounds: str

    @property
    def oldest(self) -> str | None:
        """The version behind `>=`, or None where any will do."""
        match = re.search(r">=([\w.]+)", self.bounds)
        return match[1] if match else None


def normal(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(text: str) -> Requirement:
    """Of a line of pyproject.toml. Raises: ValueError for one that is more than a name and bounds."""
    match = REQUIREMENT.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not read here: a name and bounds")
    return Requirement(normal(match["name"]), match["bounds"] or "")


def requirements(*extras: str) -> list[Requirement]:
    """What minilocal needs, with these extras. Raises: KeyError for an extra that is not there."""
    project = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]
    more = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [requirement(text) for text in [*project["dependencies"], *more]]


def constraints(*extras: str) -> list[str]:
    """`name==version` for each that has a lower bound: the lines of a constraints file for pip."""
    return sorted({f"{r.name}=={r.oldest}" for r in requirements(*extras) if r.oldest})
