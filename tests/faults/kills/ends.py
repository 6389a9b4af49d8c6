"""The end of a run, and what of it is not as in the run that was never killed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilocal import record
from minilocal.errors import UserError
from tests.faults.kills.manifest import without_seconds


@dataclass(frozen=True)
class End:
    """Weights, statistics, optimiser, in flight and counters; progress; rows; configuration; the folder's files."""

    arrays: dict[str, np.ndarray]
    progress: dict[str, Any]
    rows: list[dict[str, Any]]
    config: dict[str, Any]
    files: list[str]

    def differences(self, other: End) -> list[str]:
        """What differs by a bit or more, named."""
        wrong = [name for name in ("progress", "rows", "config", "files") if _of(self, name) != _of(other, name)]
        names = sorted({*self.arrays, *other.arrays})
        return wrong + [n for n in names if not _same(self.arrays.get(n), other.arrays.get(n))]


def end_of(run: Path) -> End:
    """The end of the run in this folder.

    Raises: UserError where it has none, or it cannot be read.
    """
    saved = record.checkpoint(run)
    if saved is None:
        raise UserError(f"{run} has no checkpoint.")
    config = record.config(run)
    config["run"].pop("out")
    config["run"].pop("processes")
    rows = [without_seconds(row) for row in record.rows(run)]
    return End(saved[0], saved[1]["progress"], rows, config, sorted(p.name for p in run.iterdir()))


def _of(end: End, name: str) -> str:
    """As text, where NaN is NaN."""
    return json.dumps(getattr(end, name), sort_keys=True)


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    return a is not None and b is not None and (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
