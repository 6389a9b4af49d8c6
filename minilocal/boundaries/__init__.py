"""What crosses a boundary: everything, nothing, the next module's error for a few units, errors late, or a guess."""

from __future__ import annotations

from minilocal.boundaries.base import Crossing, Recommended
from minilocal.boundaries.delayed import BACKWARD_WEIGHTS, Late
from minilocal.boundaries.link import ERRORS, WEIGHTINGS, Link
from minilocal.boundaries.open import Everything
from minilocal.boundaries.synthetic import Guessed


def all() -> Crossing:
    """Everything: the error of the last loss, all the way down (BP)."""
    return Everything()


def nothing() -> Crossing:
    """Nothing: a module hears its own loss only (GLL)."""
    return Crossing()


def link(length: int | str = 1, alpha: float = 0.5, weighting: str = "literal", error: str = "own") -> Crossing:
    """The error of the next module, for `length` units, or "module": for all of them (BackLink; see `Link`)."""
    return Link(length, alpha, weighting, error)


def late(up: int = 0, down: int = 1, beta: float = 1.0, backward_weights: str = "stashed") -> Crossing:
    """Everything, times β, `down` iterations late per boundary; activations `up` iterations late (DDG, FDG)."""
    return Late(up, down, beta, backward_weights)


def guess(labels: bool = False, kernel: int = 5, scaled: bool = False, zero_bias: bool = False) -> Crossing:
    """A learned guess of the error, which the error from above only teaches (DNI)."""
    return Guessed(labels, kernel, scaled, zero_bias)


__all__ = [
    "BACKWARD_WEIGHTS", "ERRORS", "WEIGHTINGS", "Crossing", "Recommended", "all", "guess", "late", "link", "nothing",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
