"""What a run has promised, written down outside its folder before anybody can see the promise.

run          `say` gets "run folder ...": config.json is there
checkpoint   checkpoint.npz was renamed and its folder synced: a resumed run starts there or later
row          `on_epoch` gets a row: the row is there, and a resumed run starts after its epoch
saved        the run was stopped and has saved: as checkpoint
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilocal import record
from minilocal.errors import UserError
from tests.faults.kills.points import Point
from tests.helpers.small_run import STEPS


class Manifest:
    """The file `path`, to which the process that will be killed appends; as a listener it sees the checkpoints."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._renamed: int | None = None
        self.promise("begun")  # by the process: what the last one has appended may be cut

    def promise(self, what: str, value: Any = None) -> None:
        """A line of it."""
        os.write(self._descriptor, (json.dumps([what, value]) + "\n").encode())

    def reached(self, point: Point) -> None:
        pass

    def created(self, path: Path) -> None:
        pass

    def replaced(self, path: Path) -> None:
        if path.name == "checkpoint.npz" and (saved := record.checkpoint(path.parent)) is not None:
            self._renamed = steps(saved[1])

    def synced(self, path: Path) -> None:
        if path.is_dir() and self._renamed is not None:
            self.promise("checkpoint", self._renamed)
            self._renamed = None


def steps(metadata: dict[str, Any]) -> int:
    """The steps from the run's start to its checkpoint."""
    counters = metadata["progress"]
    return int(counters["epoch"] * STEPS + counters["step"])


def without_seconds(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as its file has it, NaN as null, without the times, which no two runs share."""
    return {key: _as_saved(value) for key, value in row.items() if "seconds" not in key}


def _as_saved(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_saved(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def held_against(path: Path, folder: Path) -> tuple[list[str], int]:
    """The promises in the file `path` that the folder does not keep, and the steps of its checkpoint, 0 without one."""
    every = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    begun = max((number for number, (what, _) in enumerate(every) if what == "begun"), default=0)
    lines = [
        (what, value)
        for number, (what, value) in enumerate(every)
        if what != "begun" and (what != "appended" or number > begun)
    ]
    if not (folder / "config.json").exists():
        return [f"{what} was promised, and there is no config.json" for what, _ in lines[:1]], 0
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            record.config(folder)
            checkpoint, rows = record.checkpoint(folder), record.rows(folder)
        except UserError as error:
            return [f"unreadable: {error}"], 0
    wrong = [f"unreadable: {warning.message}" for warning in warned]
    saved = 0 if checkpoint is None else steps(checkpoint[1])
    complete = [without_seconds(row) for row in rows]
    for what, value in lines:
        least = {"run": 0, "appended": 0, "row": value["epoch"] * STEPS if what == "row" else 0}.get(what, value)
        if saved < least:
            wrong.append(f"{what} of step {least} was promised, and the checkpoint is of step {saved}")
        if what in ("row", "appended") and value not in complete:
            wrong.append(f"the row of epoch {value['epoch']} was promised, and is not there")
    return wrong, saved
