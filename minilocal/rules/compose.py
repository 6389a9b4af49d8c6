"""A rule is the answers to four questions: the local objective, the boundary, when modules learn, what they keep.

Of a boundary there are two answers: the errors that cross it downward, and the context that crosses upward besides h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import ModuleType

from minilocal import boundaries, objectives
from minilocal.boundaries import Boundary, Recommended
from minilocal.boundaries import open as open_boundary
from minilocal.boundaries.supply import NO_CONTEXT, ContextSupply
from minilocal.errors import UserError, call_it, unknown, whole
from minilocal.layers.base import Shape
from minilocal.objectives import ObjectiveSpec, none
from minilocal.rules import when as when_answers
from minilocal.rules.when import When, always

KEEP = ("caches", "inputs")
KEPT = {  # the two answers to keep=, and the three to backward_weights= of a delayed boundary
    "caches": "caches",
    "inputs": "inputs only, recomputed when an error arrives",
    "stashed": "caches, and for each a copy of the weights",
    "current": "caches, but not the weights of their forward",
    "recompute": "inputs only, recomputed with the current weights when an error arrives",
}


@dataclass(frozen=True)
class Rule:
    """A training rule: the answers to the four questions.

    `name` is for reports only. `accumulate` is the number m of micro-batches of gradient accumulation: a step applies
    the mean of their gradients. `recommends` is an optimiser and a learning rate under which the rule is known to
    learn, for rules that do not learn under SGD at its usual rate.
    """

    name: str
    objective: ObjectiveSpec
    boundary: Boundary
    when: When
    keep: str = "caches"
    accumulate: int = 1
    recommends: Recommended | None = None
    context: ContextSupply = NO_CONTEXT

    @property
    def kept(self) -> str:
        """What a module holds until an error arrives, a key of `KEPT`: the boundary decides it where it has delays."""
        return self.boundary.backward_weights or self.keep

    def describe(self) -> str:
        """One line: the four answers; when modules learn is left out where every epoch is alike."""
        answers = [
            f"local objective: {self.objective.describe()}",
            f"error from above: {self.boundary.describe()}",
            self.context.describe(),
            f"kept for the backward: {KEPT[self.kept]}",
            self.when.describe(),
        ]
        return f"{self.name}: {'; '.join(filter(None, answers))}"

    def warnings(self, sizes: Sequence[int], shapes: Sequence[Shape]) -> list[str]:
        """One line for each surprise in modules of `sizes` units, given the output shape of each unit."""
        tops = [shapes[units - 1] for units in accumulate(sizes)]
        return self.boundary.warnings(sizes) + self.objective.warnings(tops[:-1])

    def least_batches(self, modules: int) -> int:
        """The number of batches after which each of `modules` modules has been updated."""
        return max(self.boundary.least_batches(modules), self.when.least_batches(modules))

    def check_batches(self, batches: int, modules: int) -> None:
        """Check that a run of this many batches updates every module.

        Raises: UserError where it does not.
        """
        if batches < (least := self.least_batches(modules)):
            raise UserError(
                f"{self.name} on {modules} modules needs {least} batches to update each of them, and this run has "
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
    context: ContextSupply | str = NO_CONTEXT,
) -> Rule:
    """The rule with these answers; an answer that is left out is BP's.

    Args:
        name: for reports only.
        objective: the local objective, one of `minilocal.objectives` or your own `ObjectiveSpec`.
        boundary: which errors pass between modules, one of `minilocal.boundaries` or your own `Boundary`.
        when: when a module learns, one of `minilocal.when`.
        keep: what units keep until an error from above arrives: caches, or inputs (activation checkpointing).
        accumulate: micro-batches whose mean gradient makes a step, 1 or more.
        recommends: an optimiser and learning rate, used where a Learner or a run is given none; by default those of
            the boundary, which `synthetic_gradient` and `delayed` have.
        context: what crosses upward besides h, `minilocal.boundaries.context(source)` or a source: "image" (E), "below"
            (R1), "both" (R1E), "none" (R0).

    >>> from minilocal import boundaries, objectives
    >>> print(compose("BackLink with InfoPro", objective=objectives.infopro(), boundary=boundaries.link()).name)
    BackLink with InfoPro

    Raises: UserError for answers that do not fit together, and for anything else in place of an answer, a name or a
    recommendation.
    """
    _check_kinds(name, objective, boundary, when, recommends)
    supply = context if isinstance(context, ContextSupply) else ContextSupply(context)
    if keep not in KEEP:
        raise unknown("keep", keep, KEEP)
    micro_batches = whole("accumulate", accumulate, give="the number of micro-batches, 1 or more")
    objective, boundary, when = objective or none(), boundary or open_boundary(), when or always()
    rule = Rule(name, objective, boundary, when, keep, micro_batches, recommends or boundary.recommends, supply)
    for refused, why in _refusals(rule):
        if refused:
            raise UserError(f"{name}: {why}.")
    return rule


def _refusals(rule: Rule) -> list[tuple[bool, str]]:
    """(condition, message) of every combination that is refused; the first whose condition holds is reported."""
    boundary, when, keep = rule.boundary, rule.when, rule.keep
    local, delayed = rule.objective.is_local, boundary.delayed
    which = "delayed errors" if delayed else "an open boundary" if boundary.passes_on else "synthetic gradients"
    from_above = boundary.provides_error or boundary.uses_input_error or boundary.averages is not None
    only_local = local and not from_above and rule.accumulate == 1
    return [
        (
            not local and not boundary.provides_error,
            "modules without a local objective need the global error: use boundary=open, or give them "
            "objective=classifier",
        ),
        (
            local and boundary.provides_error,
            f"with {which} a local objective is ignored: use objective=none, or boundary=link",
        ),
        (
            not delayed and when.first == "backward",
            "when=always(first=backward) needs an error of an earlier iteration: use boundary=delayed",
        ),
        (
            delayed and when.guided,
            "when=periodic takes rules without delays only: use when=always, or another boundary",
        ),
        (
            delayed and keep != "caches",
            f'keep={keep!r} has no effect on delayed boundaries: use backward_weights="recompute"',
        ),
        (
            delayed and rule.accumulate != 1,
            "delayed errors span several steps, micro-batches one: use accumulate=1",
        ),
        (
            rule.context != NO_CONTEXT and (delayed or when.engine == "asynchronous"),
            "a context is of the batch that a module works on, and modules work on several batches here: use "
            "context=none, or another boundary or when",
        ),
        (
            boundary.averages is not None and rule.context != NO_CONTEXT,
            "an average of the next module's first unit has no context of its own: use context=none, or another "
            "boundary",
        ),
        (
            boundary.averages is not None and rule.objective.divides,
            "the two heads of this objective stand behind h_k itself, and boundary=weights puts a unit in between: use "
            "boundary=cascade, link or closed",
        ),
        (
            keep == "inputs" and not (boundary.can_checkpoint or when.guided),
            'keep="inputs" is for units that await an error from above, and none does here',
        ),
        (
            rule.objective.divides and boundary.one_loss,
            "with boundary=reach a module learns from one loss, and a part of this objective's error stays in its "
            "module: use boundary=cascade, link or closed",
        ),
        (
            when.guided and not local,
            "epochs of the final loss alternate with local epochs, and modules without a local objective have no local "
            "epochs: give them objective=classifier",
        ),
        (
            when.engine == "asynchronous" and not only_local,
            "asynchronous modules learn from their local loss alone, one batch at a time: use objective=classifier, "
            "boundary=closed and accumulate=1",
        ),
    ]


def _check_kinds(name: object, objective: object, boundary: object, when: object, recommends: object) -> None:
    """Check that each argument is an instance of its kind.

    Raises: UserError for a name, a class or a function in place of an answer, and for anything else in place of a name
    or a recommendation.
    """
    if not isinstance(name, str):
        raise UserError(f"compose: name = {name!r}: give a text; answers have keywords, as objective= and boundary=.")
    if recommends is not None and not isinstance(recommends, Recommended):
        instead = "give minilocal.boundaries.Recommended('adam', 0.001), or leave it out"
        raise UserError(f"{name}: recommends = {recommends!r}: {instead}.")
    answers: dict[str, tuple[object, type, ModuleType, str]] = {
        "objective": (objective, ObjectiveSpec, objectives, "classifier"),
        "boundary": (boundary, Boundary, boundaries, "link"),
        "when": (when, When, when_answers, "always"),
    }
    for question, (answer, kind, package, example) in answers.items():
        if answer is None or isinstance(answer, kind):
            continue
        exported = [word for word, thing in vars(package).items() if thing is answer and word.islower()]
        word = exported[0] if exported else getattr(answer, "__name__", answer)
        call = f": call it, {exported[0]}()" if exported else call_it(answer)
        place = f"minilocal.{package.__name__.rpartition('.')[2]}"
        example = answer if isinstance(answer, str) and answer in package.__all__ and answer.islower() else example
        raise UserError(f"{name}: {question} = {word!r} is no answer{call or f': give {place}.{example}()'}.")
