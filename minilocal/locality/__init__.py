"""What crosses each boundary, measured by perturbation, and which locks a rule breaks."""

from minilocal.locality.certificate import Locality, measure

__all__ = ["Locality", "measure"]


def __dir__() -> list[str]:
    return sorted(__all__)
