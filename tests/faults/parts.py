"""The parts of `make trust`, each a module with TITLE, ABOUT, MINUTES and run(minutes) -> Measured."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from tests.faults.measured import Measured

PARTS = ("kills", "storage", "doors", "concurrency", "readers", "numerics", "long_run", "supply")
APART = {"fuzz": "make fuzz", "mutants": "make mutants"}
"""Parts of the page that `make trust` leaves out, as they take hours, and the command of each."""


class Part(Protocol):
    TITLE: str
    """A heading."""
    ABOUT: str
    """What is tried, and what must hold: a paragraph of the page."""
    MINUTES: float
    """About as long as the whole part takes."""

    @staticmethod
    def run(minutes: float) -> Measured:
        """Tries everything, or, where the cases have no end, for so many minutes."""


def part(name: str) -> Part:
    """`tests/faults/NAME/part.py`."""
    return cast(Part, import_module(f"tests.faults.{name}.part"))
