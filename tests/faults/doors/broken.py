"""The checks of the tables, run on doors that are broken on purpose: each must notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from minilocal.errors import UserError
from tests.faults.doors import check, command_lines, desk, forked, python_calls
from tests.faults.doors.place import Place
from tests.faults.doors.tables import Row
from tests.faults.measured import Broken

REMEDY = "give a learning rate"
REFUSAL = f"lr = nan: {REMEDY}."


class Raw(UserError):
    """One that does not make its text a printable line, as UserError does."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text


def first_changes(learner: Any) -> NoReturn:
    next(iter(learner.parameters().values()))[...] += 1
    raise UserError(REFUSAL)


def steps_first(learner: Any) -> NoReturn:
    learner._training.steps += 1
    raise UserError(REFUSAL)


def two_lines(learner: Any) -> NoReturn:
    raise Raw(REFUSAL.replace(": ", ":\n"))


def escapes(learner: Any) -> NoReturn:
    raise Raw(f"\x1b[2J{REFUSAL}")


def without_remedy(learner: Any) -> NoReturn:
    raise UserError("lr = nan is wrong.")


def another_error(learner: Any) -> NoReturn:
    raise ValueError(REFUSAL)


def slow(learner: Any) -> NoReturn:
    until = time.process_time() + 2.2
    while time.process_time() < until:
        pass
    raise UserError(REFUSAL)


def accepts(learner: Any) -> None:
    return None


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "a door that changes weights before it refuses": first_changes,
    "a door that counts a step before it refuses": steps_first,
    "a message of one line": two_lines,
    "a message that can be printed": escapes,
    "a remedy": without_remedy,
    "a UserError": another_error,
    "a door in time": slow,
    "a refusal": accepts,
}


def writes(folder: Path) -> int:
    (folder / "left").write_text("over")
    print(f"minilocal: {REFUSAL}", file=__import__("sys").stderr)
    return 2


def of_calls(place: Place) -> list[Broken]:
    """What the check of calls says of each broken door."""
    collected = []
    for without, function in FUNCTIONS.items():
        place.names["door"] = function
        red = python_calls.failures([Row("broken", "door(learner)", REMEDY)], place)
        collected.append(Broken(without, 1, len(red)))
    return collected


def of_lines(folder: Path) -> list[Broken]:
    """What the check of command lines says where a file is left behind, a traceback printed, or status 0 returned."""

    def raises() -> int:
        raise ValueError(REFUSAL)

    collected = []
    before = {"the folder": desk.content(folder)}
    ends = {
        "the catching of an error": raises,
        "the status 2": lambda: 0,
        "an untouched folder": lambda: writes(folder),
    }
    for without, work in ends.items():
        ended = forked.fork(work, folder)
        problems = command_lines.wrong(ended, REMEDY)
        problems += check.unchanged(before, {"the folder": desk.content(folder)})
        collected.append(Broken(without, 1, len(problems[:1])))
    (folder / "left").unlink()
    return collected
