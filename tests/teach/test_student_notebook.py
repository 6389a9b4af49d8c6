"""The student's notebook from the teacher's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.teach.__main__ import main
from minilocal.teach.student import student

TEACHER = """# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# ## Exercises
#
# Write (3), and check it.

# %%
import numpy as np

import minilocal as ml


# %% tags=["solution"] exercise="1a"
def error(z, w_above, delta_above):
    return (z > 0) * (w_above.T @ delta_above)


# %%
passed = ml.teach.check("1a", error)

# %% [markdown] tags=["remember", "solution"]
# It is the whole idea.

# %% tags=["solution"]
print("secret")

# %% tags=["no-solution"]
print("seen")
"""


def run(text: str) -> dict[str, Any]:
    space: dict[str, Any] = {}
    exec(text, space)
    return space


def test_a_solution_becomes_its_stub_and_everything_else_stays():
    text = student(TEACHER)
    assert ml.teach.EXERCISES["1a"].stub in text
    assert "whole idea" not in text and "secret" not in text and 'tags=["solution"]' not in text
    assert '# %% [markdown]\n# Your answer:\n\n# %%\n# your lines\n\n# %% tags=["no-solution"]\nprint("seen")\n' in text
    assert text.startswith(TEACHER[: TEACHER.index("# %% tags")])


def test_the_teachers_check_passes_and_the_students_does_not():
    assert run(TEACHER)["passed"] and not run(student(TEACHER))["passed"]


def test_jupytext_reads_both():
    jupytext = pytest.importorskip("jupytext")
    teacher, learner = (jupytext.reads(text, "py:percent").cells for text in (TEACHER, student(TEACHER)))
    assert [cell.cell_type for cell in teacher] == [cell.cell_type for cell in learner]
    assert teacher[2].metadata == {"tags": ["solution"], "exercise": "1a"} and learner[2].metadata == {}
    assert [t.source == s.source for t, s in zip(teacher, learner, strict=True)] == [1, 1, 0, 1, 0, 0, 1]


def test_the_command_writes_the_students_file_beside_the_teachers(tmp_path, capsys):
    path = tmp_path / "lesson.py"
    path.write_text(TEACHER, "utf-8")
    assert main(["student", str(path)]) == 0
    target = tmp_path / "lesson.student.py"
    assert capsys.readouterr().out == f"{target}\n" and target.read_text("utf-8") == student(TEACHER)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lesson.py", "lesson.student.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x = 1\n", "No cell is tagged"), (TEACHER.replace('"1a"', '"1z"', 1), "exercise '1z' is not known")],
)
def test_what_cannot_be_done_is_one_line(text, reason, tmp_path, capsys):
    path = tmp_path / "lesson.py"
    path.write_text(text, "utf-8")
    assert main(["student", str(path)]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"minilocal.teach: {reason}") and line.count("\n") == 1
    assert not (tmp_path / "lesson.student.py").exists()


def test_a_file_that_is_none_and_a_command_that_is_none(tmp_path, capsys):
    assert main(["student", str(tmp_path / "lesson.ipynb")]) == 2 and "is no py:percent file" in capsys.readouterr().err
    for words in ([], ["student"], ["teacher", "x.py"]):
        assert main(words) == 2 and capsys.readouterr().err.startswith("usage: ")


def test_every_stub_can_stand_in_a_cell_of_its_own():
    for exercise in ml.teach.EXERCISES.values():
        space: dict[str, Any] = {"np": np}
        exec(exercise.stub, space)
        assert space[exercise.name](*inputs_of(exercise.id)) is None


def inputs_of(exercise: str) -> list[Any]:
    return list(ml.teach.inputs(exercise).values())
