"""The student's lesson, made from the teacher's: both are one py:percent file, so they cannot drift apart.

A cell tagged "solution" is replaced: one of an exercise by its stub, any other code by `# your lines`, and text by
"Your answer:".

    # %% tags=["solution"] exercise="4a"
    # %% tags=["solution"]
    # %% [markdown] tags=["solution"]
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import replace
from pathlib import Path

from minilocal.errors import UserError
from minilocal.record.files import atomic_write, os_errors_explained, read_text
from minilocal.teach.check import find
from minilocal.teach.notebook import notebook
from minilocal.teach.percent import Cell, read

TEACHERS = ("short", "exercise")  # options that only the teacher's cells have


def student(teacher: str, complete: str) -> str:
    """The student's py:percent text from the teacher's.

    Its first cell says that it is the exercise copy. Links that leave the teacher's folder (`../docs`) lead to the
    same pages; others lead to the student's own neighbours.

    Args:
        teacher: the text.
        complete: the path of the complete lesson, as seen from the student's copy.

    Raises: UserError where no cell is tagged "solution", for a head that cannot be read, and for an unknown exercise.
    """
    header, cells = read(teacher)
    if not any(map(_is_solution, cells)):
        raise UserError('No cell is tagged: begin those that students shall not see with # %% tags=["solution"].')
    folder = posixpath.dirname(complete)
    learners = _noted([_for_students(cell, folder) for cell in cells], complete)
    return header + "".join(cell.text for cell in learners)


def write_student(teacher: str | Path, out: str | Path | None = None) -> Path:
    """The path of the student's file: NAME.student.py beside the teacher's, or the notebook NAME.ipynb in `out`.

    Raises: UserError where a file cannot be read or written, where a notebook needs jupytext, and as `student`.
    """
    path = percent_file(teacher)
    if out is None:
        return _write(path.with_suffix(".student.py"), _of_file(path, path.name))
    folder, executed = Path(out), path.with_suffix(".ipynb")
    complete = os.path.relpath(executed if executed.is_file() else path, folder)
    text = notebook(_of_file(path, Path(complete).as_posix()), paired=False)
    with os_errors_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return _write(folder / executed.name, text)


def write_notebook(teacher: str | Path) -> Path:
    """The path of the teacher's notebook, written beside NAME.py: NAME.ipynb, without outputs.

    Raises: UserError where a file cannot be read or written, and where jupytext is missing.
    """
    path = percent_file(teacher)
    return _write(path.with_suffix(".ipynb"), notebook(read_text(path)))


def percent_file(name: str | Path) -> Path:
    """The path of a .py that is there."""
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        raise UserError(f"{name} is no py:percent file: jupytext --to py:percent makes one of a notebook.")
    return path


def _of_file(path: Path, complete: str) -> str:
    """`student` of the text in a file. Raises: UserError that names the file."""
    text = read_text(path)
    try:
        return student(text, complete)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _write(target: Path, text: str) -> Path:
    with atomic_write(target) as file:
        file.write(text.encode())
    return target


def _is_solution(cell: Cell) -> bool:
    return "solution" in cell.options.get("tags", ())


def _for_students(cell: Cell, folder: str) -> Cell:
    """A cell without what is the teacher's; a solution is replaced, with as many empty lines behind it."""
    options = {name: value for name, value in cell.options.items() if name not in TEACHERS}
    if not _is_solution(cell):
        body = re.sub(r"\]\((?=\.\./)", f"]({folder}/", cell.body) if cell.kind and folder else cell.body
        return replace(cell, options=options, body=body)
    if cell.kind:
        return Cell(cell.kind, {}, f"# Your answer:{cell.end}")
    exercise = cell.options.get("exercise")
    text = find(exercise).stub.rstrip("\n") if exercise else "# your lines"
    return Cell("", {}, f"{text}{cell.end}")


def _noted(cells: list[Cell], complete: str) -> list[Cell]:
    """The cells, with a line under the title that says what this copy is; without a title it is a cell of its own."""
    line = f"# *This is the exercise copy. The complete lesson is [{posixpath.basename(complete)}]({complete}).*\n"
    first, *others = cells
    title, end, rest = first.body.partition("\n")
    if first.kind != "markdown" or not title.startswith("# #"):
        return [Cell("markdown", {}, f"{line}\n"), *cells]
    return [replace(first, body=f"{title}{end}#\n{line}{rest}"), *others]
