"""Convergence: how a rule's mean gradient agrees with that of the final loss, Assumption 1 of the BackLink paper."""

from minilocal.convergence.agreement import Agreement
from minilocal.convergence.copies import Batches
from minilocal.convergence.measure import Convergence, measure, over

__all__ = ["Agreement", "Batches", "Convergence", "measure", "over"]


def __dir__() -> list[str]:
    return sorted(__all__)
