"""The state of each cell, read from its folder alone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minilocal import record
from minilocal.errors import UserError, one_line
from minilocal.record.files import os_errors_explained, read_json
from minilocal.record.read import METRICS
from minilocal.sweep.claim import holder

DONE, RUNNING, FAILED, LEFT = "done", "running", "failed", "left"
NOTE = 400  # characters of a note
STATES = (DONE, RUNNING, FAILED, LEFT)


class State(NamedTuple):
    """One of STATES, the epochs with a row, and a note: why it failed, or who trains it."""

    word: str
    epochs: int
    note: str = ""


def state(folder: Path) -> State:
    """The state of the cell in `folder`, which need not exist."""
    if is_done(folder):
        return State(DONE, _epochs(folder))
    if (process := holder(folder)) is not None:
        job = f", job {process['job']}" if process.get("job") else ""
        where = f"process {process.get('process')} on {process.get('host')}{job}"
        return State(RUNNING, _epochs(folder), one_line(where, NOTE))
    if (line := failure(folder)) is not None:
        return State(FAILED, _epochs(folder), line)
    return State(LEFT, _epochs(folder))


def is_done(folder: Path) -> bool:
    """Whether the cell has been trained to its last epoch."""
    return (folder / DONE).exists()


def failure(folder: Path) -> str | None:
    """Why the cell failed, in a line; None where it has not."""
    file = folder / FAILED
    if not file.exists():
        return None
    try:
        return one_line(str(read_json(file).get("line", "")), NOTE)
    except UserError as error:
        return str(error)


def mark_done(folder: Path, last: Mapping[str, Any]) -> None:
    """Write the mark of a trained cell, with its last row, after everything else."""
    _write(folder / DONE, {"epoch": last["epoch"], "test_error": last["test_error"]})
    with os_errors_explained(folder):
        (folder / FAILED).unlink(missing_ok=True)


def mark_failed(folder: Path, line: str, traceback: str = "") -> None:
    """Write why a cell failed."""
    _write(folder / FAILED, {"line": line, **({"traceback": traceback} if traceback else {})})


def forget_failure(folder: Path) -> None:
    """Remove the mark of a failed cell: it is left to be trained."""
    with os_errors_explained(folder):
        (folder / FAILED).unlink(missing_ok=True)


def _write(file: Path, facts: dict[str, Any]) -> None:
    text = json.dumps({**facts, "date": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
    with record.atomic_write(file) as out:
        out.write(text.encode())


def _epochs(folder: Path) -> int:
    try:
        if not (folder / METRICS).is_file():
            return 0
        return (folder / METRICS).read_bytes().count(b"\n")
    except OSError:
        return 0
