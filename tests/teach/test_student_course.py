"""The committed student's notebooks are what the lessons' text files give."""

from __future__ import annotations

import json

from minilocal.teach.student import write_student
from tests.helpers.lessons import FOLDER, LESSONS, STUDENT, lessons


@lessons
def test_the_committed_copy_is_the_lesson_without_its_solutions(name, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for suffix in ("py", "ipynb"):
        (folder / f"{name}.{suffix}").write_bytes((FOLDER / f"{name}.{suffix}").read_bytes())
    written = write_student(folder / f"{name}.py", folder / "student")
    assert (STUDENT / f"{name}.ipynb").read_text("utf-8") == written.read_text("utf-8"), "make students"


def test_every_lesson_has_a_copy_and_every_copy_a_lesson():
    assert sorted(path.stem for path in STUDENT.glob("*")) == LESSONS


@lessons
def test_a_copy_has_no_outputs_and_nothing_of_the_teachers(name):
    book = json.loads((STUDENT / f"{name}.ipynb").read_text("utf-8"))
    assert [cell["id"] for cell in book["cells"]] == [f"cell-{n:02}" for n in range(len(book["cells"]))]
    assert book["metadata"]["kernelspec"]["name"] == "python3" and "jupytext" not in book["metadata"]
    for cell in book["cells"]:
        assert not cell.get("outputs") and not {"short", "exercise"} & cell["metadata"].keys()
        assert "solution" not in cell["metadata"].get("tags", [])
    first = "".join(book["cells"][0]["source"])
    assert f"*This is the exercise copy. The complete lesson is [{name}.ipynb](../{name}.ipynb).*" in first
