"""The boundary of interlocking backpropagation: the error of a loss passes through n whole modules below its own.

Gomez, Key, Perlin, Gou, Frosst, Dean and Gal, "Interlocking Backpropagation: Improving depthwise model-parallelism",
Journal of Machine Learning Research, 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.boundaries.base import Boundary
from minilocal.errors import set_checked, whole


@dataclass(frozen=True)
class Reach(Boundary):
    """A module's weights learn from the loss n modules up, or from the last one where there are fewer.

    `modules` is n: 0 is the closed boundary (GLL), 1 the next module's loss alone, K-1 or more backpropagation on the
    main weights.

    Raises: UserError for anything but a whole number, 0 or more.
    """

    modules: int = 1

    can_checkpoint = True

    def __post_init__(self) -> None:
        numbers = "the modules below its own that an error enters: 0 (GLL), 1, 2, ..."
        set_checked(self, modules=whole("reach modules", self.modules, 0, give=numbers))

    def learns_from(self, k: int, last: int) -> int:
        return min(k + self.modules, last)

    def linked_units(self, units: int) -> int:
        return units if self.modules else 0

    def weights(self, j: int) -> tuple[float, float]:
        return (0.0, 1.0) if self.modules else (1.0, 0.0)

    def describe(self) -> str:
        if self.modules == 0:
            return "none"
        which = "the next module's" if self.modules == 1 else f"that {self.modules} modules up"
        return f"the error of one loss, {which} (or the last), into every unit"
