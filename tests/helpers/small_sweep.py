"""A sweep of a few seconds, and what it ends with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minilocal import record
from minilocal.sweep import Axis, Queue, axes, expand
from tests.helpers.small_run import KEYS


def grid(**values: Any) -> list[Axis]:
    """The axes of the small run with `rule__alpha=[0.25, 0.5]` and the like in place of its own values."""
    several = {key.replace("__", "."): value for key, value in values.items()}
    return axes({**{key: [value] for key, value in KEYS.items() if key not in several}, **several}, "test")


def queue(path: Path, **values: Any) -> Queue:
    """A recorded sweep of such a grid, by default over two seeds."""
    recorded = Queue.open(path, expand(grid(**{"run__seed": [0, 1], **values}))[0])
    recorded.write()
    return recorded


def end_of(folder: Path) -> tuple[dict[str, bytes], Any]:
    """The bytes of every array of a run, and its rows but for the seconds."""
    checkpoint = record.checkpoint(folder)
    assert checkpoint is not None
    rows = [{key: value for key, value in row.items() if "seconds" not in key} for row in record.rows(folder)]
    return {name: array.tobytes() for name, array in checkpoint[0].items()}, rows
