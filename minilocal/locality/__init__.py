"""Locality of a rule: the errors that cross each boundary, measured by perturbation, and the locks that it breaks."""

from minilocal.locality.certificate import Locality, measure, phases

__all__ = ["Locality", "measure", "phases"]


def __dir__() -> list[str]:
    return sorted(__all__)
