"""Boundaries: what passes between modules besides h, downward and upward.

Downward: open (BP), closed (GLL), link, reach, cascade, weights, delayed, synthetic_gradient. Upward: context.
"""

from __future__ import annotations

from minilocal.boundaries.base import Boundary, Recommended
from minilocal.boundaries.base import Boundary as closed
from minilocal.boundaries.base import OpenBoundary as open
from minilocal.boundaries.cascade import Cascade as cascade
from minilocal.boundaries.delayed import BACKWARD_WEIGHTS
from minilocal.boundaries.delayed import DelayedBoundary as delayed
from minilocal.boundaries.link import ERRORS, WEIGHTINGS
from minilocal.boundaries.link import BackwardLink as link
from minilocal.boundaries.reach import Reach as reach
from minilocal.boundaries.supply import ContextSupply as context
from minilocal.boundaries.synthetic import SyntheticGradient as synthetic_gradient
from minilocal.boundaries.weights import AveragedWeights as weights

__all__ = [
    "BACKWARD_WEIGHTS", "ERRORS", "WEIGHTINGS", "Boundary", "Recommended", "cascade", "closed", "context", "delayed",
    "link", "open", "reach", "synthetic_gradient", "weights",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
