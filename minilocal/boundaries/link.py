"""Backward links: the error of the next module's loss enters the last l units of a module.

Guo, Fouda, Eltawil and Salama, "Supervised Local Training With Backward Links for Deep Neural Networks", IEEE
Transactions on Artificial Intelligence, 2023, equations (4) to (6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minilocal.boundaries.base import Boundary
from minilocal.errors import fraction, set_checked, unknown, whole

WEIGHTINGS = ("literal", "unfolded")
ERRORS = ("own", "own-scaled", "total")


@dataclass(frozen=True)
class BackwardLink(Boundary):
    """The backward link: two errors, propagated separately and weighted by α, for the last l units of each module.

    Equations (4) to (6) of the BackLink paper (IEEE Transactions on Artificial Intelligence, 2023).

    The second error is the next module's; the last module has none. A backward is linear in its error, so weights on
    the gradients are weights on the errors. One weighted sum of both errors would be wrong below the last l units: the
    global error would enter there, and the local one be shrunk.

    `length` is l, or "module": all units of the module. `alpha` is α, the weight of the module's own error. `weighting`
    is how often the weights apply in the unit j steps below the top:

        literal       α^(j+1) and (1-α)^(j+1), (4) and (5) as printed (the default)
        unfolded      α and 1-α in every linked unit

    `error` is which δⁿ⁺¹ enters (4) where layer n+1, the first unit of module k+1, is itself linked (l is at least that
    module's length):

        own           the error of module k+1's own loss (the default)
        own-scaled    the same times the α of (4) and (5): δ_lc, which is what Algorithm 1's first loop leaves
        total         δ_lc + δ_gl, (4) as printed; such modules wait for the modules above them

    Where module k+1 is longer than l, or the last, its first unit is not linked, and the three are equal bit for bit.

    Raises: UserError for a length below 0, an α outside [0, 1], an unknown weighting or error.
    """

    can_checkpoint = True  # also for length 0, where it saves nothing

    length: int | str = 1
    alpha: float = 0.5
    weighting: str = "literal"
    error: str = "own"

    def __post_init__(self) -> None:
        if self.length != "module":
            units = 'a whole number of units, 0 (GLL) or more, or "module"'
            set_checked(self, length=whole("BackLink length", self.length, 0, give=units))
        ends = "1 is GLL, 0 is the next module's loss alone"
        set_checked(self, alpha=fraction("BackLink alpha", self.alpha, why=ends))
        if self.weighting not in WEIGHTINGS:
            raise unknown("weighting", self.weighting, WEIGHTINGS)
        if self.error not in ERRORS:
            raise unknown("error", self.error, ERRORS)

    def linked_units(self, units: int) -> int:
        return units if isinstance(self.length, str) else min(self.length, units)

    def sends(self, units: int) -> tuple[float, float]:
        if self.error == "own" or self.linked_units(units) < units:
            return 1.0, 0.0
        a, b = self.weights(units - 1)  # of δ_lc and δ_gl at the module's first unit
        return a, b if self.error == "total" else 0.0

    def weights(self, j: int) -> tuple[float, float]:
        alpha = float(self.alpha)
        if self.weighting == "unfolded":
            return alpha, 1 - alpha  # the paper's two branches: α once
        return alpha ** (j + 1), (1 - alpha) ** (j + 1)  # Eq. (4), and (5) once more for every unit further down

    def warnings(self, sizes: Sequence[int]) -> list[str]:
        short = [(k, n) for k, n in enumerate(sizes[:-1], 1) if isinstance(self.length, int) and n < self.length]
        if not short:
            return []
        (k, n), others = short[0], len(short) - 1
        more = f", and {others} more module{'s are' if others > 1 else ' is'} short" * bool(others)
        where = f"module {k} has {n} unit{'s' * (n > 1)}{more}"
        floor = f'a link stops at its module\'s first unit (length {n} in module {k}); length="module" says so'
        return [f"BackLink length {self.length}, but {where}: {floor}."]

    def describe(self) -> str:
        if self.length == 0:
            return "none"
        units = {1: "the last unit", "module": "every unit"}.get(self.length, f"the last {self.length} units")
        error = {
            "own": "the error of the next module's loss",
            "own-scaled": "the error of the next module's loss (times α where its first unit is linked)",
            "total": "the total error of the next module (which waits for those above where its first unit is linked)",
        }[self.error]
        return f"{error}, into {units}"
