"""A rule is the answers to four questions: what a module wants, what crosses, when, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.auxiliary import Wants
from minilocal.auxiliary import nothing as wants_nothing
from minilocal.crossing import Crossing
from minilocal.crossing import all as crosses_all
from minilocal.errors import UserError, unknown
from minilocal.rules.when import When, always

KEEP = ("caches", "inputs")


@dataclass(frozen=True)
class Rule:
    """A training rule. `name` is for reports; the engine never asks for it.

    `accumulate` is the number m of micro-batches whose mean gradient makes one step.
    """

    name: str
    wants: Wants
    crosses: Crossing
    when: When
    keep: str = "caches"
    accumulate: int = 1

    def describe(self) -> str:
        """One line: wants, crosses, keeps."""
        kept = "its caches" if self.keep == "caches" else "inputs only, recomputed when an error comes"
        return f"{self.name}: a module wants {self.wants.describe()}; downward crosses {self.crosses.describe()}; kept: {kept}"


def compose(
    name: str = "composed",
    *,
    wants: Wants | None = None,
    crosses: Crossing | None = None,
    when: When | None = None,
    keep: str = "caches",
    accumulate: int = 1,
) -> Rule:
    """The rule that these answers make; left out, they are BP's.

    Raises: UserError for answers that do not fit together.
    """
    wants, crosses, when = wants or wants_nothing(), crosses or crosses_all(), when or always()
    if keep not in KEEP:
        raise unknown("keep", keep, KEEP)
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise UserError(f"accumulate = {accumulate!r}: give the number of micro-batches, 1 or more.")
    silent = wants == wants_nothing()
    if silent and not crosses.onward:
        raise UserError(f"{name}: modules that want nothing learn only if every error crosses: use crosses=all(), or a classifier.")
    if not silent and crosses.onward:
        raise UserError(f"{name}: where every error crosses, a module's own loss has no say: use wants=nothing(), or a link.")
    return Rule(name, wants, crosses, when, keep, accumulate)
