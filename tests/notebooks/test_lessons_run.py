"""Every lesson runs from top to bottom at short scale, with its solutions and with the student's untouched stubs.

One kernel a lesson. The two ways have all cells before the first solution in common; these run once. Then come the
student's cells, then the names are as they were before, then come the teacher's. At full scale: make notebooks.
"""

from __future__ import annotations

import os
import re

import pytest

from minilocal.teach.student import student
from tests.helpers.lessons import FOLDER, at_short_scale, cells, is_solution, jupytext, lessons, run, words_of

KEEP = "_before = dict(globals())"
RESTORE = """
for _name in [name for name in globals() if name not in _before and not name.startswith("_")]:
    del globals()[_name]
globals().update(_before)
"""


def students(name):
    """The student's cells of code, and the teacher's."""
    text = (FOLDER / f"{name}.py").read_text("utf-8")
    learner = jupytext.reads(student(text, f"../{name}.ipynb"), "py:percent").cells
    return [[cell for cell in side if cell.cell_type == "code"] for side in (learner, cells(name, "py"))]


@lessons
def test_a_lesson_runs_with_stubs_and_with_solutions(name):
    learner, teacher = students(name)
    first = next(n for n, cell in enumerate(teacher) if is_solution(cell))
    with_solutions = [at_short_scale(cell) for cell in teacher]
    with_stubs = [
        stub.source if is_solution(cell) else at_short_scale(cell) for stub, cell in zip(learner, teacher, strict=True)
    ]
    done = run([*with_solutions[:first], KEEP, *with_stubs[first:], RESTORE, *with_solutions[first:]])
    behind, size = done[first + 1 :], len(teacher) - first
    of_stubs, of_solutions = ("\n".join(map(words_of, part)) for part in (behind[:size], behind[size + 1 :]))
    exercises = re.findall(r'teach\.check\("(\w+)"', "\n".join(with_solutions))
    assert exercises
    for exercise in exercises:
        assert re.search(rf"^{exercise}, not yet: it returned None", of_stubs, re.M), of_stubs
        assert re.search(rf"^{exercise} passed: ", of_solutions, re.M), of_solutions


def test_a_failing_cell_is_a_failing_lesson_with_the_cell_and_its_traceback():
    with pytest.raises(pytest.fail.Exception) as failed:
        run(["x = 1", "y = x / 0"])
    assert "y = x / 0" in str(failed.value) and "ZeroDivisionError: division by zero" in str(failed.value)


def test_a_run_is_short_in_a_fresh_kernel_of_this_tree():
    long = jupytext.reads('# %% short="seeds = 1"\nseeds = 4\n\n# %%\nprint(seeds)\n', "py:percent").cells
    where = "import minilocal, os; print(minilocal.__file__, os.environ['OPENBLAS_NUM_THREADS'])"
    restored = [KEEP, "new = 2; seeds = 3", RESTORE, "print(seeds, 'new' in globals())", where]
    *_, number, _, _, _, after, tree = run([*map(at_short_scale, long), *restored])
    assert words_of(number) == "1\n" and words_of(after) == "1 False\n"
    assert words_of(tree) == f"{FOLDER.parent / 'minilocal' / '__init__.py'} 1\n"


def test_a_kernel_ends_with_its_lesson():
    (cell,) = run(["import os; print(os.getpid())"])
    with pytest.raises(ProcessLookupError):
        os.kill(int(words_of(cell)), 0)
