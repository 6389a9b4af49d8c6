"""docs/course.md, held: its table is what the lessons' first cells and exercises say. A failure prints the row."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TABLE = [line for line in (ROOT / "docs" / "course.md").read_text("utf-8").splitlines() if re.match(r"\| \d+ \|", line)]
LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.py"))


def row(name: str, text: str) -> str:
    """The row of a lesson, from the text of its .py file."""
    number, title = re.findall(r"^# # (\d+) · (.*)$", text, re.MULTILINE)[0]
    lesson, _, question = title.partition(": ")
    minutes = re.findall(r"^# \* \*\*Time\*\* (\d+) minutes", text, re.MULTILINE)[0]
    needs = " ".join(re.findall(r"^# \* \*\*You need\*\* (.*(?:\n#   .*)*)", text, re.MULTILINE)[0].split())
    cells = [
        number,
        f"[{lesson}](../notebooks/{name}.ipynb)",
        question[:1].upper() + question[1:],
        minutes,
        needs.replace(" # ", " "),
        ", ".join(re.findall(r'exercise="(\w+)"', text)),
        f"[notebook](../notebooks/student/{name}.ipynb)",
    ]
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_has_its_row(name):
    wanted = row(name, (ROOT / "notebooks" / f"{name}.py").read_text("utf-8"))
    assert wanted in TABLE, f"docs/course.md needs the row\n{wanted}"


def test_there_are_no_other_rows():
    assert len(TABLE) == len(LESSONS)


def test_a_row_is_read_from_a_lesson():
    text = """
# # 5 · Memory: where do the bytes go?
#
# * **You learn** to count
# * **You need** lessons 1 and 3; NumPy; what
#   a peak is
# * **Time** 45 minutes; the cells run in 2 minutes
# %% tags=["solution"] exercise="5a"
# %% tags=["solution"] exercise="5b"
"""
    assert row("05_memory", text) == (
        "| 5 | [Memory](../notebooks/05_memory.ipynb) | Where do the bytes go? | 45 "
        "| lessons 1 and 3; NumPy; what a peak is "
        "| 5a, 5b | [notebook](../notebooks/student/05_memory.ipynb) |"
    )
