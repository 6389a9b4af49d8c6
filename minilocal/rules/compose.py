"""A rule is the answers to four questions: what a module wants, what crosses, when, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from minilocal.boundaries import Crossing, Recommended
from minilocal.boundaries import all as crosses_all
from minilocal.errors import UserError, call_it, unknown
from minilocal.layers.base import Shape
from minilocal.objectives import Wants
from minilocal.objectives import nothing as wants_nothing
from minilocal.rules.when import Drawn, When, always

KEEP = ("caches", "inputs")


@dataclass(frozen=True)
class Rule:
    """A training rule. `name` is for reports; the engine never asks for it.

    `accumulate` is the number m of micro-batches whose mean gradient makes one step. `recommends` is the optimiser and
    learning rate under which the rule is known to learn, where it does not under SGD.
    """

    name: str
    wants: Wants
    crosses: Crossing
    when: When
    keep: str = "caches"
    accumulate: int = 1
    recommends: Recommended | None = None

    def describe(self) -> str:
        """One line: wants, crosses, keeps, and when where it is not always the same."""
        inputs = "inputs only, recomputed when an error comes"
        kept = self.crosses.kept or ("its caches" if self.keep == "caches" else inputs)
        wants, crosses, when = self.wants.describe(), self.crosses.describe(), self.when.describe()
        always = f"{self.name}: a module wants {wants}; downward crosses {crosses}; kept: {kept}"
        return f"{always}; {when}" if when else always

    def warnings(self, sizes: Sequence[int], shapes: Sequence[Shape]) -> list[str]:
        """What a user should know about modules of so many units, each unit with an output of its shape."""
        tops = [shapes[units - 1] for units in accumulate(sizes)]
        return self.crosses.warnings(sizes) + self.wants.warnings(tops[:-1])

    def least_batches(self, modules: int) -> int:
        """How many batches go by until every one of `modules` modules has been updated."""
        begin = 3 if isinstance(self.when, Drawn) and modules > 1 else 2 if self.when.first == "backward" else 1
        return max(self.crosses.least_batches(modules), begin)

    def check_batches(self, batches: int, modules: int) -> None:
        """Holds that a run of so many batches is long enough for every module to be updated.

        Raises: UserError where it is not.
        """
        if batches < (least := self.least_batches(modules)):
            raise UserError(
                f"{self.name} on {modules} modules takes {least} batches until each of them learns, and this run has "
                f"{batches}: use fewer modules, smaller batches or more epochs."
            )


def compose(
    name: str = "composed",
    *,
    wants: Wants | None = None,
    crosses: Crossing | None = None,
    when: When | None = None,
    keep: str = "caches",
    accumulate: int = 1,
    recommends: Recommended | None = None,
) -> Rule:
    """The rule that these answers make; left out, they are BP's.

    Args:
        name: for reports; the engine never asks for it.
        wants: the local objective, one of `minilocal.wants` or your own `Wants`.
        crosses: what crosses a boundary downward, one of `minilocal.crosses` or your own `Crossing`.
        when: when a module learns, one of `minilocal.when`.
        keep: what units keep until an error from above comes: caches, or inputs (computed again).
        accumulate: micro-batches whose mean gradient makes a step, 1 or more.
        recommends: an optimiser and learning rate, used where a Learner or a run is given none; by default those that
            the crossing recommends, as `guess` does.

    >>> from minilocal import crosses, wants
    >>> print(compose("BackLink with InfoPro", wants=wants.infopro(), crosses=crosses.link()).name)
    BackLink with InfoPro

    Raises: UserError for answers that do not fit together.
    """
    _are_answers(name, wants, crosses, when)
    wants, crosses, when = wants or wants_nothing(), crosses or crosses_all(), when or always()
    if keep not in KEEP:
        raise unknown("keep", keep, KEEP)
    if isinstance(accumulate, bool) or not isinstance(accumulate, int) or accumulate < 1:
        raise UserError(f"accumulate = {accumulate!r}: give the number of micro-batches, 1 or more.")
    silent = wants == wants_nothing()
    if silent and not crosses.supplies:
        raise UserError(
            f"{name}: modules without a loss of their own learn only if every error crosses: give them one, as "
            "wants=classifier() or objective=classifier, or let every error cross, crosses=all() or boundary=open."
        )
    if not silent and crosses.supplies:
        where = "every error crosses" if crosses.onward else "the error is guessed"
        raise UserError(
            f"{name}: where {where}, a module's own loss has no say: leave it out, or let a link cross (boundary=link)."
        )
    _check_delays(name, crosses, when, keep, accumulate)
    if keep == "inputs" and not (crosses.awaited or when.guided):
        raise UserError(f'{name}: keep="inputs" is for units that await an error from above, and none does here.')
    if when.guided and silent:
        raise UserError(
            f"{name}: epochs of the final loss take turns with local ones, and modules that want nothing have none: "
            "give them a classifier, as wants=classifier() or objective=classifier."
        )
    if isinstance(when, Drawn) and (silent or crosses.supplies or crosses.listens or accumulate > 1):
        raise UserError(
            f"{name}: drawn workers learn from their own loss alone, a batch at a time: give them one, and let nothing "
            "cross (crosses=nothing() or boundary=closed)."
        )
    return Rule(name, wants, crosses, when, keep, accumulate, recommends or crosses.recommends)


def _are_answers(name: str, wants: object, crosses: object, when: object) -> None:
    """Holds that each answer is one, and no name or function of one."""
    kinds = {"wants": (wants, Wants, "classifier()"), "crosses": (crosses, Crossing, "link()")}
    for question, (answer, kind, example) in (kinds | {"when": (when, When, "periodic()")}).items():
        if answer is not None and not isinstance(answer, kind):
            given = getattr(answer, "__name__", answer)
            hint = call_it(answer) or f": give one of minilocal.{question}, as minilocal.{question}.{example}"
            raise UserError(f"{name}: {question} = {given!r} is no answer{hint}.")


def _check_delays(name: str, crosses: Crossing, when: When, keep: str, accumulate: int) -> None:
    """Holds that what asks for delays has them, and that what cannot bear them is not asked for beside them."""
    if not crosses.delayed:
        if when.first == "backward":
            raise UserError(
                f"{name}: without delays no error is there to begin with: let errors be late, crosses=late() or "
                "boundary=delayed."
            )
        return
    if when.guided:
        raise UserError(
            f"{name}: periods of global guidance go with rules without delays only: leave them out (when=always)."
        )
    if keep != "caches":
        raise UserError(f'{name}: keep={keep!r} is asked for as backward_weights="recompute" where there are delays.')
    if accumulate != 1:
        raise UserError(f"{name}: micro-batches are of one step, delayed errors of several: use accumulate=1.")
