"""The lessons: one form, twin files with the same cells, and committed outputs that a reader on the web can trust.

That they run is test_lessons_run.py's to say. After a change to NAME.py: make lesson NAME=...
"""

from __future__ import annotations

import ast
import inspect
import re

import pytest

import minilocal as ml
from minilocal import equations as eq
from tests.helpers.lessons import (
    COURSE,
    FOLDER,
    LESSONS,
    cells,
    code,
    is_solution,
    lessons,
    printed,
    prose,
    words_of,
)

FORM = ["Question", "Picture", "Equation", "Code", "Check", "Experiment", "Exercises", "Not shown"]
CHECK = re.compile(r'teach\.check\("(\w+)", (\w+)\)')


def test_the_course_is_whole_and_each_lesson_has_its_notebook():
    assert LESSONS == COURSE
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == LESSONS


@lessons
def test_notebook_and_text_file_have_the_same_cells(name):
    notebook, text = (
        [
            (cell.cell_type, cell.source, {key: cell.metadata.get(key) for key in ("tags", "short", "exercise")})
            for cell in cells(name, suffix)
        ]
        for suffix in ("ipynb", "py")
    )
    assert notebook == text, f"make lesson NAME={name}"


@lessons
def test_its_head_says_what_is_learned_what_is_needed_and_how_long_it_takes(name):
    title, _, *lines = cells(name, "py")[0].source.splitlines()
    assert title.startswith(f"# {int(name[:2])} · ")
    items = [line for line in lines if line.startswith("* ")]
    for item, begins in zip(items[:3], ("* **You learn** to ", "* **You need** ", "* **Time** "), strict=True):
        assert item.startswith(begins)
    assert re.search(r"\d+ minutes; .*offline", items[2])


@lessons
def test_a_lesson_has_the_form_of_a_lesson(name):
    headings = re.findall(r"^##+ (.*)$", prose(name), re.M)
    sections = re.findall(r"^## (.*)$", prose(name), re.M)
    assert [section for section in sections if section in FORM] == FORM
    assert "Answers" not in headings, "an answer stands in a cell tagged solution, right behind its question"


@lessons
def test_an_exercise_is_its_question_its_solution_and_its_check(name):
    lesson = cells(name, "py")
    checks = [n for n, cell in enumerate(lesson) if cell.cell_type == "code" and CHECK.search(cell.source)]
    named = [cell.metadata["exercise"] for cell in lesson if "exercise" in cell.metadata]
    assert checks and named == [CHECK.findall(lesson[n].source)[0][0] for n in checks]
    for n in checks:
        question, solution = lesson[n - 2 : n]
        ((exercise, answer),) = CHECK.findall(lesson[n].source)
        known = ml.teach.EXERCISES[exercise]
        assert re.search(rf"^### {exercise}\. ", question.source, re.M) and question.cell_type == "markdown"
        assert is_solution(solution) and solution.metadata["exercise"] == exercise and answer == known.name
        assert ast.dump(ast.parse(solution.source)) == ast.dump(ast.parse(known.answer)), f"print {exercise}'s .answer"
        assert f"{exercise} passed: " in printed(name)


@lessons
def test_every_answer_stands_among_the_exercises(name):
    lesson = cells(name, "py")
    (start,), (end,) = (
        [n for n, cell in enumerate(lesson) if re.search(rf"^## {section}$", cell.source, re.M)]
        for section in ("Exercises", "Not shown")
    )
    tagged = [n for n, cell in enumerate(lesson) if is_solution(cell)]
    assert tagged and start < tagged[0] and tagged[-1] < end
    for n in tagged:
        asked = lesson[n - 1]
        assert is_solution(asked) or re.search(r"^### ", asked.source, re.M), lesson[n].source


def bound(source):
    """The names that a cell binds."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add(other or name)
    return names


@lessons
def test_a_short_form_binds_the_names_of_its_cell(name):
    for cell in cells(name, "py"):
        if short := cell.metadata.get("short"):
            assert cell.cell_type == "code" and not is_solution(cell)
            assert bound(short) == bound(cell.source), short


@lessons
def test_its_outputs_are_those_of_one_run_from_top_to_bottom(name):
    assert [cell.execution_count for cell in code(name)] == list(range(1, len(code(name)) + 1))


@lessons
def test_its_outputs_hold_no_error_no_warning_and_no_one_s_folder(name):
    for cell in code(name):
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", cell.source
            shown = output.get("text") or "".join(output.get("data", {}).get("text/plain", ""))
            assert not any(word in shown for word in ("/home/", "/tmp/", "/work/", " object at 0x")), cell.source


@lessons
def test_its_figures_are_pictures_and_small(name):
    figures = [
        o.data for cell in code(name) for o in cell.outputs if "Figure" in o.get("data", {}).get("text/plain", "")
    ]
    assert figures and all("image/png" in data for data in figures)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 400_000


@lessons
def test_its_figures_say_what_they_show(name):
    figures = [o for cell in code(name) for o in cell.outputs if "image/png" in o.get("data", {})]
    assert figures and all(figure.metadata["image/png"]["alt"] for figure in figures)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("01_backpropagation", [eq.forward, eq.backward, eq.update, eq.outer]),
    ],
)
def test_the_source_that_it_shows_is_the_source_that_is_there(name, shown):
    for thing in shown:
        assert inspect.getsource(thing).strip() in printed(name), f"execute {name} again: {thing} has changed"


@lessons
def test_numbers_in_its_prose_stand_in_its_code_or_its_outputs(name):
    """Those with a unit: an error, a size, a count of images. What a machine measured does not outlive a change."""
    shown = set(re.findall(r"\d+(?:\.\d+)?", printed(name) + "\n".join(cell.source for cell in code(name))))
    figures = re.findall(r"(\d+(?:\.\d+)?)\s*(?:%|MB|points|(?:training |test )?images|seeds)", prose(name))
    assert set(figures) <= shown


@lessons
def test_nothing_that_it_prints_is_nan(name):
    """A student reads divergence where a module has no classifier: that is a dash. Source that is shown may have it."""
    results = [words_of(cell) for cell in code(name) if "getsource" not in cell.source]
    assert not re.search(r"\bnan\b", "\n".join(results))
