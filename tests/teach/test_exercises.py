"""Every exercise: red on the stub and on each known mistake, with its hint; green on the solution."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.teach import Exercise, Mistake
from minilocal.teach.call import call
from minilocal.teach.check import outcome
from minilocal.teach.difference import TOLERANCE

EXERCISES = list(ml.teach.EXERCISES.values())
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.mistakes]

each = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)

each_mistake = pytest.mark.parametrize(
    ("exercise", "mistake"), MISTAKES, ids=lambda value: value.id if hasattr(value, "id") else ""
)


def function(source: str, name: str) -> Any:
    """The function that a cell with this source defines."""
    space: dict[str, Any] = {"np": np}
    exec(source, space)
    return space[name]


def results(exercise: Exercise, answer: Any) -> list[list[np.ndarray]]:
    """What a function returns in each case, as a list of arrays."""
    with np.errstate(all="ignore"):
        called = [call(answer, case, exercise.arguments) for case in exercise.all_cases()]
    several = len(exercise.returns) > 1
    return [
        [np.asarray(one, "float64") for one in (c.result if several else [c.result])] for c in called if not c.error
    ]


def relative(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """The largest difference of two results, each array against its own largest number."""
    if any(a.shape != b.shape for a, b in zip(ours, theirs, strict=True)):
        return float("inf")
    distances = [
        float(np.abs(a - b).max(initial=0)) / (float(np.abs(b).max(initial=0)) or 1.0)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return float("inf") if np.isnan(distances).any() else max(distances)


def test_every_exercise_has_its_own_id_and_enough_mistakes():
    assert len(EXERCISES) >= 18
    assert (ids := [e.id for e in EXERCISES]) == sorted(ids, key=lambda id: (int(id[:-1]), id[-1]))
    assert len({exercise.name for exercise in EXERCISES}) == len(EXERCISES)
    for exercise in EXERCISES:
        assert len({mistake.name for mistake in exercise.mistakes}) == len(exercise.mistakes) >= 4
        assert exercise.question.endswith(".") and not any(m.name.endswith(".") for m in exercise.mistakes)


@each
def test_the_solution_passes_as_it_stands_and_as_the_cell_that_a_teacher_gets(exercise):
    for answer in (exercise.solution, function(exercise.answer, exercise.name)):
        result = outcome(exercise, answer)
        assert result and result.text.startswith(f"{exercise.id} passed: {', '.join(exercise.returns)} of ")


@each
def test_the_stub_does_not_pass_and_says_what_to_write(exercise):
    stub = function(exercise.stub, exercise.name)
    result = outcome(exercise, stub)
    assert not result and "it returned None. The stub is untouched" in result.text
    assert stub.__doc__ == exercise.solution.__doc__
    assert list(inspect.signature(stub).parameters) == exercise.arguments


@each_mistake
def test_a_known_mistake_does_not_pass_and_is_named(exercise, mistake):
    with np.errstate(all="ignore"):
        result = outcome(exercise, mistake.function)
    assert not result and f"Hint: {mistake.name}." in result.text.splitlines()[2]


@each
def test_the_tolerance_stands_far_from_rounding_and_far_from_mistakes(exercise):
    right = results(exercise, exercise.reference)
    solution = results(exercise, exercise.solution)
    assert max(map(relative, solution, right)) < TOLERANCE / 1000
    for mistake in exercise.mistakes:
        wrong = results(exercise, mistake.function)
        assert len(wrong) < len(right) or max(map(relative, wrong, right)) > 1e7 * TOLERANCE


@each
@pytest.mark.parametrize("factor", [1.001, 0.999, 1 + 1e-6, -1])
def test_the_right_answer_times_a_factor_does_not_pass(exercise, factor):
    for wrong in range(len(exercise.returns)):  # one of several results is enough

        def scaled(*case: Any, wrong: int = wrong) -> Any:
            result = exercise.solution(*case)
            if len(exercise.returns) == 1:
                return np.asarray(result) * factor
            return tuple(np.asarray(one) * (factor if n == wrong else 1) for n, one in enumerate(result))

        result = outcome(exercise, scaled)
        assert not result and exercise.returns[wrong] in result.text


@each
def test_one_wrong_number_in_any_place_is_seen_there(exercise):
    """Each of the first 40 numbers of the first result, moved by a thousandth of the largest."""
    case = exercise.all_cases()[0]
    several = len(exercise.returns) > 1
    right = np.asarray(
        exercise.solution(*copy.deepcopy(case))[0] if several else exercise.solution(*copy.deepcopy(case))
    )
    for place in list(np.ndindex(right.shape))[:40]:

        def moved(*case: Any, place: Any = place) -> Any:
            result = exercise.solution(*case)
            first = np.array(result[0] if several else result, "float64")
            if first.shape == right.shape:
                first[place] += 1e-3 * (np.abs(first).max() or 1.0)
            return (first, *result[1:]) if several else first

        text = outcome(exercise, moved).text
        index = f"[{', '.join(map(str, place))}]" if place else ""
        assert text.splitlines()[1].lstrip().startswith(f"{exercise.returns[0]}{index} is "), text


@each
def test_float32_on_the_way_is_told_about_precision(exercise):
    def single(*case: Any) -> Any:
        result = exercise.solution(*case)
        if len(exercise.returns) == 1:
            return np.asarray(result, "float32")
        return tuple(np.asarray(one, "float32") for one in result)

    result = outcome(exercise, single)
    exact = all(
        np.array_equal(one.astype("float32"), one) for case in results(exercise, exercise.reference) for one in case
    )
    assert bool(result) == exact
    assert exact or "only, and has type float32. Compute in float64, the type of the inputs." in result.text


@each
def test_cases_are_the_same_every_time_in_float64_and_hide_nothing(exercise):
    once, again = exercise.all_cases(), exercise.all_cases()
    assert str(once) == str(again) and len(once) >= 3
    assert all(len(case) == len(exercise.arguments) for case in once)
    for array in (value for case in once for value in case if isinstance(value, np.ndarray)):
        assert array.dtype in (np.float64, np.int64)
        assert array.dtype == np.int64 or (array != 0).all()
        if array.ndim == 2 and array.shape[0] == array.shape[1] > 1:
            assert not np.allclose(array, array.T)


@each
def test_the_solution_leaves_its_arguments_alone_and_needs_nothing_but_numpy(exercise):
    for case in exercise.all_cases():
        assert not call(exercise.solution, case, exercise.arguments).changed
    assert "eq." not in exercise.answer and "ml." not in exercise.answer and "import" not in exercise.answer


def test_a_mistake_that_is_right_is_seen():
    """What the tests above would say of an exercise whose list of mistakes has a right answer in it."""
    exercise = ml.teach.EXERCISES["1a"]
    right = Mistake("nothing", exercise.solution)
    assert outcome(exercise, right.function)
    pairs = zip(results(exercise, right.function), results(exercise, exercise.reference), strict=True)
    assert max(relative(*pair) for pair in pairs) < TOLERANCE


PAGE = (Path(__file__).parents[2] / "docs" / "teaching.md").read_text("utf-8")


def test_the_page_for_teachers_lists_every_exercise():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:3] == "| `"]
    assert rows == [[f"`{e.id}`", f"`{e.name}`", e.question, str(len(e.mistakes))] for e in EXERCISES]
