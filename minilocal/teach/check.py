"""The check of an answer: the student's own function, on every case, beside the package's reference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal.errors import unknown, whole
from minilocal.teach.call import Called, call, refusal
from minilocal.teach.difference import TOLERANCE, difference, equal
from minilocal.teach.exercise import Case, Exercise
from minilocal.teach.exercises import EXERCISES


@dataclass(frozen=True, repr=False)
class Result:
    """What a check said: true where the answer passed, and the text that was printed."""

    passed: bool
    text: str

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return self.text

    def _ipython_display_(self) -> None:
        """Nothing: `check` has printed the text, wherever in a cell it stands."""


def check(exercise: str, answer: Callable[..., Any] | None) -> Result:
    """Whether an answer to an exercise is right; prints what was compared, or why it is not right yet.

    The function is called on copies of the exercise's cases, in float64, and compared with the package's own to 1e-10
    of the largest number of each array. Printed is the first number that differs with its place, and the mistake's name
    where a known one gives the same numbers. An exception in the function is one line. A function of the package is no
    answer.

    >>> bool(check("1a", lambda z, w_above, delta_above: None))
    1a, not yet: it returned None. The stub is untouched, or a `return` is missing.
    False

    Args:
        exercise: its id, "1a".
        answer: the function itself.

    Raises: UserError for an unknown id.
    """
    wanted, own = find(exercise), of_the_package(answer)
    result = Result(False, f"{exercise}, not yet: {own}") if own else outcome(wanted, answer)
    print(result.text)
    return result


def of_the_package(answer: Any) -> str:
    """What `check` says of a function of the package that has a name, which is no answer, or ""."""
    home = getattr(answer, "__module__", None) or ""
    name = getattr(answer, "__qualname__", type(answer).__name__)
    if not callable(answer) or home.partition(".")[0] != "minilocal" or "<" in name:
        return ""
    return f"that is the package's own function, {home}.{name}: write yours."


def find(exercise: str) -> Exercise:
    """The exercise of an id.

    Raises: UserError for an unknown one.
    """
    if exercise not in EXERCISES:
        raise unknown("exercise", exercise, EXERCISES)
    return EXERCISES[exercise]


def inputs(exercise: str, case: int = 1) -> dict[str, Any]:
    """The arguments of one case of an exercise, by name, to repeat what a check did.

    `my_function(*ml.teach.inputs("4a", 2).values())` is the call of case 2.

    Raises: UserError for an unknown id, and for a case that the exercise does not have.
    """
    wanted = find(exercise)
    cases = wanted.all_cases()
    number = whole("case", case, 1, len(cases))
    return dict(zip(wanted.arguments, cases[number - 1], strict=True))


def outcome(exercise: Exercise, answer: Any) -> Result:
    """What `check` prints, without printing."""
    not_yet, names = f"{exercise.id}, not yet", exercise.arguments
    if text := refusal(answer, exercise.name, names):
        return Result(False, f"{not_yet}: {text}")
    cases, numbers = exercise.all_cases(), 0
    for number, case in enumerate(cases, 1):
        expected = exercise.reference(*copy.deepcopy(case))
        called = call(answer, case, names)
        text = called.error or difference(called.result, expected, exercise.returns, exercise.last_first)
        if called.result is None and not called.error:
            return Result(False, f"{not_yet}: {text}")
        changed = f"It writes into {' and '.join(called.changed)}: work on a copy." if called.changed else ""
        if text or changed:
            lines = [text or "the numbers are right.", hint(exercise, answer, number) if text else "", changed]
            where = f"{not_yet}, case {number} of {len(cases)}: {shapes(names, case)}"
            again = f'The inputs: ml.teach.inputs("{exercise.id}", {number}).'
            return Result(False, "\n    ".join([where, *filter(None, lines), again]))
        numbers += sum(np.size(one) for one in (expected if len(exercise.returns) > 1 else [expected]))
    compared = f"{', '.join(exercise.returns)} of {len(cases)} cases, {numbers} numbers"
    return Result(True, f"{exercise.id} passed: {compared}, equal {exercise.against} to {TOLERANCE:g} of the largest.")


def hint(exercise: Exercise, answer: Callable[..., Any], number: int) -> str:
    """The known mistake that gives the same numbers in this case, or "".

    Where several do, it is the one that agrees in most cases: at a boundary two mistakes may look alike.
    """
    cases = exercise.all_cases()
    results = [call(answer, case, exercise.arguments) for case in cases]
    agreeing: dict[str, int] = {}
    with np.errstate(all="ignore"):
        for mistake in exercise.mistakes:
            wrong = [call(mistake.function, case, exercise.arguments) for case in cases]
            same = [_alike(*pair, exercise.returns) for pair in zip(results, wrong, strict=True)]
            if same[number - 1]:
                agreeing[mistake.name] = sum(same)
    return f"Hint: {max(agreeing, key=agreeing.__getitem__)}." if agreeing else ""


def _alike(one: Called, other: Called, names: Sequence[str]) -> bool:
    return not (one.error or other.error) and equal(one.result, other.result, names)


def shapes(names: Sequence[str], case: Case) -> str:
    """The arguments of a case in a line: shapes of arrays, and values of all others."""
    return ", ".join(f"{name} {_short(value)}" for name, value in zip(names, case, strict=True))


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.shape)
    if isinstance(value, list) and isinstance(value[0], np.ndarray):
        return f"[{', '.join(map(_short, value))}]"
    if isinstance(value, list):
        return _listed([_item(one) for one in value])
    return str(value)


def _item(value: Any) -> str:
    """A number with six digits at most, and so within a tuple."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_item, value))})"
    return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else str(value)


def _listed(items: list[str], most: int = 56) -> str:
    """A list, cut between two items where it is long: `[(0, 1, 6.0), ... 12 more]`."""
    shown = len(items)
    while shown > 1 and len(", ".join(items[:shown])) > most:
        shown -= 1
    rest = f", ... {len(items) - shown} more" if shown < len(items) else ""
    return f"[{', '.join(items[:shown])}{rest}]"
