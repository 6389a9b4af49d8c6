"""Backward links: the error of the next module's own loss enters the last l units of a module, and stops there.

Guo, Fouda, Eltawil and Salama, "Supervised Local Training With Backward Links for Deep Neural Networks", IEEE
Transactions on Artificial Intelligence, 2023, equations (4) to (6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minilocal.crossing.base import Crossing
from minilocal.errors import UserError, unknown

WEIGHTINGS = ("literal", "unfolded")


@dataclass(frozen=True)
class Link(Crossing):
    """l units of each module below the last hear two errors, walked down apart and weighed by α.

    A backward is linear in its error, so weighing the gradients is weighing the errors; carried as one sum, the
    global error would leak below the range and the local one would be shrunk there.

    Raises: UserError for a length below 0, an α outside [0, 1], an unknown weighting.
    """

    awaited = True  # over length 0 in vain

    length: int = 1
    alpha: float = 0.5
    weighting: str = "literal"

    def __post_init__(self) -> None:
        if isinstance(self.length, bool) or not isinstance(self.length, int) or self.length < 0:
            raise UserError(f"BackLink length {self.length!r}: give a whole number of units, 0 (GLL) or more.")
        if isinstance(self.alpha, bool) or not isinstance(self.alpha, (int, float)) or not 0 <= self.alpha <= 1:
            raise UserError(
                f"BackLink alpha {self.alpha!r} is outside [0, 1]: 1 is GLL, 0 hears only the next module's loss."
            )
        if self.weighting not in WEIGHTINGS:
            raise unknown("weighting", self.weighting, WEIGHTINGS)

    def reach(self, units: int) -> int:
        return min(self.length, units)

    def weights(self, j: int) -> tuple[float, float]:
        alpha = float(self.alpha)
        if self.weighting == "unfolded":
            return alpha, 1 - alpha  # the paper's two branches: α once
        return alpha ** (j + 1), (1 - alpha) ** (j + 1)  # Eq. (4), and (5) once more for every unit further down

    def warnings(self, sizes: Sequence[int]) -> list[str]:
        short = [(k, n) for k, n in enumerate(sizes[:-1], 1) if n < self.length]
        if not short:
            return []
        (k, n), others = short[0], len(short) - 1
        where = f"module {k} has {n} unit{'s' * (n > 1)}" + f", and {others} more modules are short" * bool(others)
        floor = f"their errors stop at each module's floor (length {n} in module {k})"
        return [f"BackLink length {self.length}, but {where}: {floor}."]

    def describe(self) -> str:
        units = "unit" if self.length == 1 else "units"
        return f"the error of the next module's loss, into the last {self.length} {units}" if self.length else "nothing"
