"""The student's notebook, made from the teacher's: both are one py:percent file, so they cannot drift apart.

A cell tagged "solution" is replaced: one of an exercise by its stub, any other code by `# your lines`, and text by
"Your answer:".

    # %% tags=["solution"] exercise="4a"
    # %% tags=["solution"]
    # %% [markdown] tags=["solution"]
"""

from __future__ import annotations

import re
from pathlib import Path

from minilocal.errors import UserError
from minilocal.record.files import atomic_write
from minilocal.teach.check import find

CELL = re.compile(r"# %%(?P<markdown> \[markdown\])?(?P<options>.*)")


def student(teacher: str) -> str:
    """The student's py:percent text from the teacher's.

    Raises: UserError where no cell is tagged "solution", and for an unknown exercise.
    """
    cells = _cells(teacher)
    if not any(_is_solution(cell) for cell in cells):
        raise UserError('No cell is tagged: begin those that students shall not see with # %% tags=["solution"].')
    return "".join(_for_students(cell) if _is_solution(cell) else cell for cell in cells)


def write_student(teacher: str | Path) -> Path:
    """The path of the student's file, written beside the teacher's: NAME.student.py of NAME.py.

    Raises: UserError where the file cannot be read or written, and as `student`.
    """
    path = Path(teacher)
    if path.suffix != ".py" or not path.is_file():
        raise UserError(f"{teacher} is no py:percent file: jupytext --to py:percent makes one of a notebook.")
    text = student(path.read_text("utf-8"))
    target = path.with_suffix(".student.py")
    with atomic_write(target) as file:
        file.write(text.encode())
    return target


def _cells(text: str) -> list[str]:
    """The cells, each from its `# %%` on; what stands before the first is one of its own."""
    return re.split(r"^(?=# %%)", text, flags=re.M)


def _options(cell: str) -> str:
    head = CELL.match(cell)
    return head["options"] if head else ""


def _is_solution(cell: str) -> bool:
    tags = re.search(r"\btags=\[(.*?)\]", _options(cell))
    return tags is not None and '"solution"' in re.split(r"\s*,\s*", tags[1].strip())


def _for_students(cell: str) -> str:
    """A cell's replacement, tagged no more, with as many empty lines behind it."""
    head, end = CELL.match(cell), cell[len(cell.rstrip("\n")) :]
    assert head is not None
    if head["markdown"]:
        return f"# %% [markdown]\n# Your answer:{end}"
    exercise = re.search(r'\bexercise="(.*?)"', head["options"])
    text = find(exercise[1]).stub.rstrip("\n") if exercise else "# your lines"
    return f"# %%\n{text}{end}"
