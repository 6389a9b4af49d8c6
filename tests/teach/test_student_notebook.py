"""The student's notebook from the teacher's."""

from __future__ import annotations

import builtins
import json
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.teach.__main__ import main
from minilocal.teach.notebook import KERNEL, notebook
from minilocal.teach.percent import read
from minilocal.teach.student import student

TEACHER = """# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# ## Exercises
#
# Write (3), and check it. See [the page](../docs/teaching.md) and [the next lesson](02_next.ipynb).

# %% tags=["parameters"] short="seeds = 1\\nprint(\\"tags=[]\\")"
seeds = 4

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
    text = student(TEACHER, "../lesson.ipynb")
    assert ml.teach.EXERCISES["1a"].stub in text
    assert "whole idea" not in text and "secret" not in text and 'tags=["solution"]' not in text
    assert '# %% [markdown]\n# Your answer:\n\n# %%\n# your lines\n\n# %% tags=["no-solution"]\nprint("seen")\n' in text
    untouched = TEACHER[TEACHER.index("# %%\nimport numpy") : TEACHER.index('# %% tags=["solution"] ex')]
    assert untouched in text


def test_its_first_cell_says_what_it_is_and_where_the_complete_lesson_is():
    note = "# *This is the exercise copy. The complete lesson is [lesson.ipynb](../lesson.ipynb).*\n"
    assert f"# %% [markdown]\n# ## Exercises\n#\n{note}#\n# Write (3)" in student(TEACHER, "../lesson.ipynb")
    without = student('# %%\nx = 1\n\n# %% tags=["solution"]\nx = 2\n', "lesson.py")
    assert without == (
        "# %% [markdown]\n# *This is the exercise copy. The complete lesson is [lesson.py](lesson.py).*\n\n"
        "# %%\nx = 1\n\n# %%\n# your lines\n"
    )


def test_its_links_lead_to_the_same_pages_and_to_the_students_own_neighbours():
    assert "[the page](../../docs/teaching.md) and [the next lesson](02_next.ipynb)" in student(
        TEACHER, "../lesson.ipynb"
    )
    assert "[the page](../docs/teaching.md)" in student(TEACHER, "lesson.py")
    code = TEACHER.replace("seeds = 4", 'seeds = "](../docs"')
    assert 'seeds = "](../docs"' in student(code, "../lesson.ipynb")


def test_what_only_the_teacher_needs_is_gone_and_the_parameters_stay():
    text = student(TEACHER, "../lesson.ipynb")
    assert '# %% tags=["parameters"]\nseeds = 4\n' in text and "short" not in text and "exercise=" not in text


def test_a_file_is_its_cells():
    header, cells = read(TEACHER)
    assert header + "".join(cell.text for cell in cells) == TEACHER
    assert cells[1].options["short"] == 'seeds = 1\nprint("tags=[]")'


def test_the_teachers_check_passes_and_the_students_does_not():
    assert run(TEACHER)["passed"] and not run(student(TEACHER, "../lesson.ipynb"))["passed"]


def test_jupytext_reads_both():
    jupytext = pytest.importorskip("jupytext")
    teacher, learner = (
        jupytext.reads(text, "py:percent").cells for text in (TEACHER, student(TEACHER, "../lesson.ipynb"))
    )
    assert [cell.cell_type for cell in teacher] == [cell.cell_type for cell in learner]
    assert teacher[3].metadata == {"tags": ["solution"], "exercise": "1a"} and learner[3].metadata == {}
    assert [t.source == s.source for t, s in zip(teacher, learner, strict=True)] == [0, 1, 1, 0, 1, 0, 0, 1]


def test_the_command_writes_the_students_file_beside_the_teachers(tmp_path, capsys):
    path = tmp_path / "lesson.py"
    path.write_text(TEACHER, "utf-8")
    assert main(["student", str(path)]) == 0
    target = tmp_path / "lesson.student.py"
    assert capsys.readouterr().out == f"{target}\n" and target.read_text("utf-8") == student(TEACHER, "lesson.py")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lesson.py", "lesson.student.py"]


def test_with_a_folder_the_command_writes_notebooks_there(tmp_path, capsys):
    pytest.importorskip("jupytext")
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(TEACHER, "utf-8")
    (tmp_path / "two.ipynb").touch()
    out = tmp_path / "students" / "new"
    names = [str(tmp_path / f"{name}.py") for name in ("one", "two")]
    assert main(["student", *names, "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'one.ipynb'}\n{out / 'two.ipynb'}\n"
    assert (out / "one.ipynb").read_text("utf-8") == notebook(student(TEACHER, "../../one.py"), paired=False)
    assert (out / "two.ipynb").read_text("utf-8") == notebook(student(TEACHER, "../../two.ipynb"), paired=False)


def test_a_notebook_has_no_outputs_and_says_the_same_every_time(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    text = notebook(TEACHER)
    book = json.loads(text)
    nbformat.validate(nbformat.from_dict(book))
    assert text == notebook(TEACHER) and text.endswith("}\n")
    assert [cell["id"] for cell in book["cells"]] == [f"cell-{n:02}" for n in range(8)]
    assert book["metadata"] == {"kernelspec": KERNEL, "jupytext": {"formats": "ipynb,py:percent"}}
    assert book["cells"][3]["metadata"] == {"tags": ["solution"], "exercise": "1a"}
    assert all(cell["outputs"] == [] for cell in book["cells"] if cell["cell_type"] == "code")
    assert json.loads(notebook(TEACHER, paired=False))["metadata"] == {"kernelspec": KERNEL}
    named = TEACHER.replace("# ---\n\n", "#   kernelspec:\n#     name: mine\n#     display_name: Mine\n# ---\n\n", 1)
    assert json.loads(notebook(named))["metadata"]["kernelspec"] == {"name": "mine", "display_name": "Mine"}


def test_the_teachers_notebook_stands_beside_its_text(tmp_path, capsys):
    pytest.importorskip("jupytext")
    path = tmp_path / "lesson.py"
    path.write_text(TEACHER, "utf-8")
    assert main(["notebook", str(path)]) == 0 and capsys.readouterr().out == f"{tmp_path / 'lesson.ipynb'}\n"
    assert (tmp_path / "lesson.ipynb").read_text("utf-8") == notebook(TEACHER)


def test_without_jupytext_a_notebook_is_one_line_with_what_to_install(tmp_path, capsys, monkeypatch):
    def refused(name: str, *args: Any, **named: Any) -> Any:
        if name == "jupytext":
            raise ImportError(name)
        return imported(name, *args, **named)

    imported = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refused)
    (tmp_path / "lesson.py").write_text(TEACHER, "utf-8")
    for words in (["notebook"], ["student", "--out", str(tmp_path / "out")]):
        assert main([*words, str(tmp_path / "lesson.py")]) == 2
        line = "minilocal.teach: making a notebook needs jupytext: in the clone, pip install -e '.[notebooks]'.\n"
        assert capsys.readouterr().err == line
    assert [path.name for path in tmp_path.iterdir()] == ["lesson.py"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = 1\n", "No cell is tagged"),
        (TEACHER.replace('"1a"', '"1z"', 1), "exercise '1z' is not known"),
        (TEACHER.replace('tags=["solution"] ex', "tags=[solution] ex"), '"# %% tags=[solution] exercise="1a"" cannot'),
        (TEACHER.replace('tags=["solution"] ex', '{"tags": ["solution"]} ex'), '"# %% {"tags": ["solution"]} exerci'),
    ],
)
def test_what_cannot_be_done_is_one_line(text, reason, tmp_path, capsys):
    path = tmp_path / "lesson.py"
    path.write_text(text, "utf-8")
    assert main(["student", str(path)]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"minilocal.teach: {path}: {reason}") and line.count("\n") == 1
    assert not (tmp_path / "lesson.student.py").exists()


def test_a_file_that_is_none_and_a_command_that_is_none(tmp_path, capsys):
    assert main(["student", str(tmp_path / "lesson.ipynb")]) == 2 and "is no py:percent file" in capsys.readouterr().err
    for words in ([], ["student"], ["teacher", "x.py"]):
        with pytest.raises(SystemExit, match="2"):
            main(words)
        assert capsys.readouterr().err.startswith("usage: python -m minilocal.teach ")


def test_every_stub_can_stand_in_a_cell_of_its_own():
    for exercise in ml.teach.EXERCISES.values():
        space: dict[str, Any] = {"np": np}
        exec(exercise.stub, space)
        assert space[exercise.name](*inputs_of(exercise.id)) is None


def inputs_of(exercise: str) -> list[Any]:
    return list(ml.teach.inputs(exercise).values())
