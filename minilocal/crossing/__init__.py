"""What crosses a boundary: everything, nothing, or the next module's error for a few units."""

from __future__ import annotations

from minilocal.crossing.base import Crossing
from minilocal.crossing.everything import Everything
from minilocal.crossing.link import WEIGHTINGS, Link


def all() -> Crossing:
    """Everything: the error of the last loss, all the way down (BP)."""
    return Everything()


def nothing() -> Crossing:
    """Nothing: a module hears its own loss only (GLL)."""
    return Crossing()


def link(length: int = 1, alpha: float = 0.5, weighting: str = "literal") -> Crossing:
    """The error of the next module's own loss, for `length` units (BackLink)."""
    return Link(length, alpha, weighting)


__all__ = ["WEIGHTINGS", "Crossing", "all", "link", "nothing"]
