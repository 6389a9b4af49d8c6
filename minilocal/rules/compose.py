"""A rule is the answers to four questions: what a module wants, what crosses, when, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import ModuleType

from minilocal import boundaries, objectives
from minilocal.boundaries import Boundary, Recommended
from minilocal.boundaries import open as open_boundary
from minilocal.errors import UserError, call_it, unknown, whole
from minilocal.layers.base import Shape
from minilocal.objectives import ObjectiveSpec, none
from minilocal.rules import when as when_answers
from minilocal.rules.when import When, always

KEEP = ("caches", "inputs")
KEPT = {  # the two answers to keep=, and the three to backward_weights= of a delayed boundary
    "caches": "its caches",
    "inputs": "inputs only, recomputed when an error comes",
    "stashed": "its caches, and a copy of its weights for each",
    "current": "its caches, but not the weights that made them",
    "recompute": "inputs only, recomputed with the weights of the day when an error comes",
}


@dataclass(frozen=True)
class Rule:
    """A training rule. `name` is for reports; the engine never asks for it.

    `accumulate` is the number m of micro-batches whose mean gradient makes one step. `recommends` is the optimiser and
    learning rate under which the rule is known to learn, where it does not under SGD.
    """

    name: str
    objective: ObjectiveSpec
    boundary: Boundary
    when: When
    keep: str = "caches"
    accumulate: int = 1
    recommends: Recommended | None = None

    @property
    def kept(self) -> str:
        """What a module holds until an error arrives, a key of `KEPT`: the boundary decides it where it has delays."""
        return self.boundary.backward_weights or self.keep

    def describe(self) -> str:
        """One line: wants, crosses, keeps, and when where it is not always the same."""
        objective, boundary, when = self.objective.describe(), self.boundary.describe(), self.when.describe()
        always = f"{self.name}: a module wants {objective}; downward crosses {boundary}; kept: {KEPT[self.kept]}"
        return f"{always}; {when}" if when else always

    def warnings(self, sizes: Sequence[int], shapes: Sequence[Shape]) -> list[str]:
        """What a user should know about modules of so many units, each unit with an output of its shape."""
        tops = [shapes[units - 1] for units in accumulate(sizes)]
        return self.boundary.warnings(sizes) + self.objective.warnings(tops[:-1])

    def least_batches(self, modules: int) -> int:
        """The number of batches after which each of `modules` modules has been updated."""
        return max(self.boundary.least_batches(modules), self.when.least_batches(modules))

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
    objective: ObjectiveSpec | None = None,
    boundary: Boundary | None = None,
    when: When | None = None,
    keep: str = Rule.keep,
    accumulate: int = Rule.accumulate,
    recommends: Recommended | None = None,
) -> Rule:
    """The rule that these answers make; left out, they are BP's.

    Args:
        name: for reports; the engine never asks for it.
        objective: the local objective, one of `minilocal.objectives` or your own `ObjectiveSpec`.
        boundary: which errors pass between modules, one of `minilocal.boundaries` or your own `Boundary`.
        when: when a module learns, one of `minilocal.when`.
        keep: what units keep until an error from above comes: caches, or inputs (computed again).
        accumulate: micro-batches whose mean gradient makes a step, 1 or more.
        recommends: an optimiser and learning rate, used where a Learner or a run is given none; by default those that
            the boundary recommends, as `synthetic_gradient` does.

    >>> from minilocal import boundaries, objectives
    >>> print(compose("BackLink with InfoPro", objective=objectives.infopro(), boundary=boundaries.link()).name)
    BackLink with InfoPro

    Raises: UserError for answers that do not fit together.
    """
    _are_answers(name, objective, boundary, when)
    objective, boundary, when = objective or none(), boundary or open_boundary(), when or always()
    if keep not in KEEP:
        raise unknown("keep", keep, KEEP)
    accumulate = whole("accumulate", accumulate, give="the number of micro-batches, 1 or more")
    silent = objective == none()
    if silent and not boundary.provides_error:
        raise UserError(
            f"{name}: modules without a local objective need the global error: use boundary=open, or give them "
            "objective=classifier."
        )
    if not silent and boundary.provides_error:
        which = "an open boundary" if boundary.passes_on else "synthetic gradients"
        raise UserError(f"{name}: with {which} a local objective is ignored: use objective=none, or boundary=link.")
    _check_delays(name, boundary, when, keep, accumulate)
    if keep == "inputs" and not (boundary.can_checkpoint or when.guided):
        raise UserError(f'{name}: keep="inputs" is for units that await an error from above, and none does here.')
    if when.guided and silent:
        raise UserError(
            f"{name}: epochs of the final loss alternate with local epochs, and modules without a local objective have "
            "no local epochs: give them objective=classifier."
        )
    if when.engine == "asynchronous" and (
        silent or boundary.provides_error or boundary.uses_input_error or accumulate > 1
    ):
        raise UserError(
            f"{name}: asynchronous modules learn from their local loss alone, one batch at a time: use "
            "objective=classifier, boundary=closed and accumulate=1."
        )
    return Rule(name, objective, boundary, when, keep, accumulate, recommends or boundary.recommends)


def _are_answers(name: str, objective: object, boundary: object, when: object) -> None:
    """Checks that each answer is an instance of its kind.

    Raises: UserError for a name, a class or a function in place of an answer.
    """
    answers: dict[str, tuple[object, type, ModuleType, str]] = {
        "objective": (objective, ObjectiveSpec, objectives, "classifier"),
        "boundary": (boundary, Boundary, boundaries, "link"),
        "when": (when, When, when_answers, "periodic"),
    }
    for question, (answer, kind, package, example) in answers.items():
        if answer is not None and not isinstance(answer, kind):
            named = [word for word, thing in vars(package).items() if thing is answer and word.islower()]
            hint = f": call it, {named[0]}()" if named else call_it(answer)
            place = f"minilocal.{package.__name__.rpartition('.')[2]}"
            given = named[0] if named else getattr(answer, "__name__", answer)
            raise UserError(f"{name}: {question} = {given!r} is no answer{hint or f': give {place}.{example}()'}.")


def _check_delays(name: str, boundary: Boundary, when: When, keep: str, accumulate: int) -> None:
    """Holds that what asks for delays has them, and that what cannot bear them is not asked for beside them."""
    if not boundary.delayed:
        if when.first == "backward":
            raise UserError(
                f"{name}: when=always(first=backward) needs an error of an earlier iteration: use boundary=delayed."
            )
        return
    if when.guided:
        raise UserError(f"{name}: when=periodic takes rules without delays only: use when=always, or another boundary.")
    if keep != "caches":
        raise UserError(f'{name}: keep={keep!r} has no effect on delayed boundaries: use backward_weights="recompute".')
    if accumulate != 1:
        raise UserError(f"{name}: delayed errors span several steps, micro-batches one: use accumulate=1.")
