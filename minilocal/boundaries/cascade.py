"""The boundary of a cascade: the error that leaves a module goes through the whole module below, and ends there."""

from __future__ import annotations

from minilocal.boundaries.base import Boundary


class Cascade(Boundary):
    """Each unit learns from its own module's loss and from the next one's: its gradient is the sum of the two.

    Of an objective with two heads only the second's error leaves the module (HPFF). With any other objective this is
    the sum of GLL and of interlocking backpropagation with n = 1.
    """

    can_checkpoint = True

    def linked_units(self, units: int) -> int:
        return units

    def describe(self) -> str:
        return "the error that leaves the next module, into every unit, beside its own"
