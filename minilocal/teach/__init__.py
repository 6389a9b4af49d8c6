"""Exercises that check themselves: `ml.teach.check("4a", answer)`.

The student's own function runs in the kernel, beside the package's, on drawn cases. No network, no grader, no state.
"""

from __future__ import annotations

from minilocal.teach.check import Result, check, inputs
from minilocal.teach.exercise import Exercise, Mistake
from minilocal.teach.exercises import EXERCISES

__all__ = ["EXERCISES", "Exercise", "Mistake", "Result", "check", "inputs"]


def __dir__() -> list[str]:
    return sorted(__all__)
