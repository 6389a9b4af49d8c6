"""The relative error between two sets of arrays, the measure of every check.

    largest |ours - reference|  /  (largest |reference| + 1e-6 × the largest number among all references of the case)

The second term bounds the scale from below: an array smaller than the others' round-off is measured against that
round-off. A bias in front of a batch norm has gradient 0, and no two programs agree on the digits of such a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

DOUBLE = 1e-9  # float64
SINGLE = 1e-5  # float32, one layer
OWN = 3  # float32, a rule: largest ratio of the engine's error to JAX's own float32 error


@dataclass(frozen=True)
class Result:
    """One row of the table that `minilocal verify` prints: the largest relative error of all cases, and its limit."""

    kind: str
    name: str
    against: str
    cases: int
    error: float
    limit: float = DOUBLE
    worst: str = ""  # the case and the array with the largest error
    note: str = ""  # how it was computed, where that is not always the same

    @property
    def passed(self) -> bool:
        """Whether the largest relative error is within the limit."""
        return self.error <= self.limit


def errors(ours: Mapping[str, Any], reference: Mapping[str, Any]) -> dict[str, float]:
    """The relative error of every array, by name; infinite for one that is missing, misshapen or not finite."""
    theirs = {name: np.asarray(array, "float64") for name, array in reference.items()}
    largest = max((_largest(array) for array in theirs.values()), default=0.0)
    return {
        name: _error(ours.get(name), theirs.get(name), largest) for name in [*theirs, *(ours.keys() - theirs.keys())]
    }


def _error(ours: Any, reference: Any, largest: float) -> float:
    if ours is None or reference is None or np.shape(ours) != reference.shape:
        return float("inf")
    difference = _largest(np.asarray(ours, "float64") - reference)
    if difference == 0:
        return 0.0
    scale = _largest(reference) + 1e-6 * largest
    return difference / scale if scale and np.isfinite(difference) else float("inf")


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))
