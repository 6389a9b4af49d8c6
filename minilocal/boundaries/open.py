"""Everything crosses: the one error of the last loss goes down the whole network (BP)."""

from __future__ import annotations

from minilocal.boundaries.base import Crossing


class Everything(Crossing):
    """The error enters every unit of a module and goes on into the one below."""

    awaited = True
    onward = True
    supplies = True

    def reach(self, units: int) -> int:
        return units

    def describe(self) -> str:
        return "the error of the last loss, all the way"
