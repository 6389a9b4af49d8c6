"""What a check says of every kind of answer; it raises for none."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.teach import check, inputs
from minilocal.teach.check import outcome
from minilocal.teach.difference import difference

pair = ml.teach.EXERCISES["4a"].solution  # for use within an answer: it is none itself


def error(z: Any, w: Any, d: Any) -> Any:
    return (z > 0) * (w.T @ d)


def says(exercise: str, answer: Any) -> str:
    result = check(exercise, answer)
    assert not result
    return str(result)


def test_a_right_answer(capsys):
    result = check("1a", error)
    text = "1a passed: δ of 4 cases, 54 numbers, equal minilocal.equations.backward to 1e-10 of the largest."
    assert result and result.passed and repr(result) == text and capsys.readouterr().out == f"{text}\n"


@pytest.mark.parametrize(
    ("exercise", "own"),
    [
        ("1a", ml.equations.backward),
        ("1b", ml.equations.update),
        ("4a", ml.equations.link),
        ("4b", ml.equations.link_below),
        ("4a", pair),
    ],
)
def test_a_function_of_the_package_is_no_answer(exercise, own):
    name = f"{own.__module__}.{own.__name__}"
    assert says(exercise, own) == f"{exercise}, not yet: that is the package's own function, {name}: write yours."


def test_any_other_callable_is_an_answer():
    class Answer:
        def __call__(self, *case: Any) -> Any:
            return error(*case)

    assert check("1a", Answer()) and check("1a", lambda a, b, c: error(a, b, c))


def test_a_list_is_an_array_and_a_float_is_a_number():
    assert check("1a", lambda z, w, d: error(z, w, d).tolist())
    assert check("4a", lambda *a: list(pair(*a)))
    assert check("5a", lambda widths, images: 4.0 * images * sum(widths))


def test_the_first_number_that_differs_its_place_and_the_hint():
    lines = says("1a", lambda z, w, d: w.T @ d).splitlines()
    z, w, d = inputs("1a", 1).values()
    got, expected = w.T @ d, error(z, w, d)
    i, j = next(zip(*np.nonzero(got != expected), strict=True))
    wrong = (got != expected).sum()
    assert lines == [
        "1a, not yet, case 1 of 4: z (3, 4), w_above (3, 3), delta_above (3, 4)",
        f"    δ[{i}, {j}] is {got[i, j]:.6g}, expected {expected[i, j] + 0.0:.6g}; {wrong} of 12 numbers wrong.",
        "    Hint: f'(z) is missing: where z < 0 the ReLU passes no error.",
        '    The inputs: ml.teach.inputs("1a", 1).',
    ]


def test_a_mistake_that_nobody_knows_has_no_hint():
    assert "Hint" not in says("1a", lambda z, w, d: error(z, w, d) + 1)


def test_where_two_mistakes_look_alike_the_hint_is_the_one_that_agrees_in_more_cases():
    exercise = ml.teach.EXERCISES["4c"]
    names = [mistake.name for mistake in exercise.mistakes]
    for name, mistake in zip(names, exercise.mistakes, strict=True):
        text = outcome(exercise, mistake.function).text
        assert [other for other in names if f"Hint: {other}." in text] == [name]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (None, "1a, not yet: the answer is None: write error(z, w_above, delta_above), and give the function itself."),
        (np.ones(3), "the answer is of type ndarray: give the function itself, error, not what it returns."),
        (lambda z, w: z, "the function takes (z, w), and is called as error(z, w_above, delta_above)."),
        (lambda z, w, d: None, "it returned None. The stub is untouched, or a `return` is missing."),
        (lambda z, w, d: "δ", "δ is a str, expected an array of numbers."),
        (lambda z, w, d: {"δ": 1}, "δ is a dict, expected an array of numbers."),
        (lambda z, w, d: [[1.0], [2.0, 3.0]], "δ is a list that is no array of numbers."),
        (lambda z, w, d: error(z, w, d) + 0j, "δ is an array of complex128, expected an array of numbers."),
        (lambda z, w, d: error(z, w, d).T, "δ has shape (4, 3), expected (3, 4), its transpose."),
        (lambda z, w, d: error(z, w, d)[:1], "δ has shape (1, 4), expected (3, 4)."),
        (lambda z, w, d: 0.0, "δ has shape (), expected (3, 4)."),
        (lambda z, w, d: error(z, w, d) * np.nan, "δ[0, 0] is nan, expected"),
        (lambda z, w, d: error(z, w, d) + np.inf, "12 of 12 numbers not finite."),
    ],
)
def test_what_is_no_answer_has_a_sentence(answer, sentence):
    assert sentence in says("1a", answer)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda *a: pair(*a)[0], "it returned an array of float64, expected a tuple of 2: (δ_lc, δ_gl), kept apart."),
        (lambda *a: (*pair(*a), 1), "it returned a tuple of 3, expected a tuple of 2: (δ_lc, δ_gl)."),
        (lambda *a: (pair(*a)[0], None), "δ_gl is None."),
        (lambda *a: (pair(*a)[0], pair(*a)[0]), "δ_gl[0, 0] is"),
        (lambda *a: (pair(*a)[0] + 1, pair(*a)[1]), "; 12 of 12 numbers of δ_lc wrong.\n"),
        (lambda *a: (pair(*a)[0] + 1, -pair(*a)[1]), "; 12 of 12 numbers of δ_lc wrong. Wrong too: δ_gl.\n"),
    ],
)
def test_what_is_no_pair_has_a_sentence(answer, sentence):
    assert sentence in says("4a", answer)


def test_of_two_numbers_each_is_counted_by_its_name():
    link_weights = ml.teach.EXERCISES["4c"].solution
    text = says("4c", lambda *a: link_weights(*a)[::-1])
    assert "    a is 0.642, expected 0.358. Wrong too: b.\n    Hint: a and b are exchanged" in text
    assert "    b is 0, expected 0.642.\n" in says("4c", lambda *a: (link_weights(*a)[0], 0))


def test_the_layer_that_is_computed_first_is_reported_first():
    update = ml.teach.EXERCISES["4d"].solution
    lines = says("4d", lambda *a: tuple(w + 1 for w in update(*a))).splitlines()
    assert lines[1].startswith("    w[2][0, 0] is ") and lines[1].endswith("of w[2] wrong. Wrong too: w[1], w[0].")


def test_a_long_list_is_cut_between_two_of_its_items():
    lines = [outcome(ml.teach.EXERCISES["1d"], lambda *a, n=n: wrong_in(n, *a)).text.splitlines()[0] for n in (4, 6)]
    assert lines[0].endswith(": nodes 4, edges [(2, 3, 1.0), (0, 1, 6.0), (1, 3, 1.0), (1, 2, 18.0)]")
    assert re.fullmatch(r".*: nodes 6, edges \[(\(\d, \d, -?[\d.]+\), )+\.\.\. \d+ more\]", lines[1])


def wrong_in(n: int, nodes: int, edges: Any) -> Any:
    """A wrong answer to 1d for graphs of n nodes."""
    return ml.teach.EXERCISES["1d"].solution(nodes, edges) + (nodes == n)


def test_one_number_is_expected_where_one_is():
    assert "bytes has shape (1,), expected ()." in says("5a", lambda widths, images: [4 * images * sum(widths)])
    assert "bytes is a str, expected a number." in says("5a", lambda widths, images: "4")


def test_an_exception_is_one_line_with_the_students_line_and_its_number():
    def answer(z: Any, w: Any, d: Any) -> Any:
        y = z * 1
        return np.dot(w.T, d[:1]) + y

    line = answer.__code__.co_firstlineno + 2
    text = says("1a", answer).splitlines()[1]
    assert text.startswith(
        f"    line {line}, `return np.dot(w.T, d[:1]) + y`, raised ValueError: shapes (3,3) and (1,4)"
    )


def test_an_exception_of_a_cell_has_the_line_of_the_cell():
    space: dict[str, Any] = {}
    exec(compile("def answer(z, w, d):\n    a = 1\n    return a / 0\n", "<cell>", "exec"), space)
    assert "    line 3 raised ZeroDivisionError: division by zero" in says("1a", space["answer"])


def test_an_exception_in_a_helper_of_the_same_cell_has_the_helpers_line():
    space: dict[str, Any] = {}
    exec(
        compile("def helper(a):\n    return a / 0\ndef answer(z, w, d):\n    return helper(1)\n", "<cell>", "exec"),
        space,
    )
    assert "    line 2 raised ZeroDivisionError" in says("1a", space["answer"])


def test_exit_and_endless_recursion_are_exceptions_but_ctrl_c_is_not():
    def recursive(z: Any, w: Any, d: Any) -> Any:
        return recursive(z, w, d)

    def interrupted(z: Any, w: Any, d: Any) -> Any:
        raise KeyboardInterrupt

    assert "raised SystemExit: 3" in says("1a", lambda z, w, d: sys.exit(3))
    assert "raised RecursionError" in says("1a", recursive)
    with pytest.raises(KeyboardInterrupt):
        check("1a", interrupted)


def test_an_argument_that_is_written_into_is_named_and_the_exercise_stays_as_it_was():
    def in_place(z: Any, w: Any, d: Any) -> Any:
        result = error(z, w, d)
        z *= 0
        d[0, 0] = 1
        return result

    before = str(inputs("1a", 1))
    text = says("1a", in_place)
    assert "    the numbers are right.\n    It writes into z and delta_above: work on a copy.\n" in text
    assert str(inputs("1a", 1)) == before

    def list_changed(nodes: int, edges: Any) -> Any:
        result = ml.teach.EXERCISES["1d"].solution(nodes, edges)
        edges.reverse()
        return result

    assert "It writes into edges: work on a copy." in says("1d", list_changed)


def test_float32_on_the_way_is_told_apart_from_a_mistake():
    text = says("1a", lambda z, w, d: error(z, w.astype("float32").astype("float64"), d))
    assert "only, and was rounded to float32 on the way. Compute in float64, the type of the inputs." in text


def test_an_unknown_id_is_an_error_with_the_nearest_name():
    with pytest.raises(ml.UserError, match=r"exercise '4A' is not known; did you mean '4a'\? Known: 1a, 1b"):
        check("4A", error)
    with pytest.raises(ml.UserError, match="case = 9: give a whole number, 1 to 4"):
        inputs("1a", 9)


def test_a_result_of_zeros_must_be_zeros():
    assert not difference(np.zeros(3), np.zeros(3), ["a"])
    assert difference(np.full(3, 1e-300), np.full(3, -0.0), ["a"]).startswith("a[0] is 1e-300, expected 0;")
    assert difference(np.full(3, 1e-300), np.zeros(3), ["a"]).startswith("a[0] is 1e-300, expected 0; 3 of 3 numbers")


def test_a_difference_is_seen_at_the_tolerance_and_not_below_it():
    right = np.array([1.0, 1e-8])
    assert not difference(right + np.array([0, 9e-11]), right, ["a"])
    assert difference(right + np.array([0, 2e-10]), right, ["a"]).startswith("a is right to 2e-10 only")
    assert difference(right + np.array([0, 2e-5]), right, ["a"]).startswith(
        "a[1] is 2.001e-05, expected 1e-08; 1 of 2 numbers"
    )


def test_numbers_have_six_digits_and_more_only_where_these_agree():
    right = np.array([1 / 3, 1.0])
    assert difference(right + np.array([1e-3, 0]), right, ["a"]).startswith("a[0] is 0.334333, expected 0.333333;")
    assert difference(right + np.array([1e-8, 1]), right, ["a"]).startswith(
        "a[0] is 0.333333343333, expected 0.333333333333;"
    )
    assert difference(1234567, np.array(1234607), ["a"]) == "a is 1234567, expected 1234607."


def test_random_numbers_of_the_program_are_left_alone():
    np.random.seed(3)
    state = str(np.random.get_state())
    check("4a", pair)
    assert str(np.random.get_state()) == state


def test_it_is_shown_once_in_a_notebook():
    result = check("1a", error)
    assert result._ipython_display_() is None  # type: ignore[func-returns-value]


def test_it_needs_numpy_alone():
    heavy = "{'matplotlib', 'jax', 'msgspec', 'cupy'} & set(sys.modules)"
    code = f"import sys, minilocal as ml; ml.teach.check; print(sorted({heavy}))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"
