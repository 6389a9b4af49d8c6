"""The run that most cases disturb: three steps an epoch, some hundredths of a second; and how it ends undisturbed."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from minilocal import record
from minilocal.record import commit
from minilocal.train import train
from tests.faults.storage.child import command
from tests.helpers.small_run import configuration, words

EPOCHS = 3


def run_words(out: str, epochs: int = EPOCHS) -> list[str]:
    """`train --out OUT`."""
    return ["train", *words(optim__epochs=epochs), "--out", out]


def end_of(path: Path) -> Any:
    """All that must be equal, bit for bit: arrays, counters, rows but for their seconds."""
    arrays, progress = record.checkpoint(path) or ({}, {"progress": None})
    rows = [{k: v for k, v in row.items() if "seconds" not in k} for row in record.rows(path)]
    counters = {k: v for k, v in (progress["progress"] or {}).items() if "seconds" not in k}
    return {k: a.tobytes() for k, a in arrays.items()}, counters, rows


@cache
def undisturbed() -> Any:
    """`end_of` the run that nothing has disturbed; this process has everything imported by then."""
    commit.git_commit = dict  # it starts two processes each time
    with tempfile.TemporaryDirectory() as top:
        path = Path(top) / "run"
        train(configuration(path, optim__epochs=EPOCHS), bar=False)
        return end_of(path)


def goes_on(path: Path) -> None:
    """Check that the run at `path` goes on, or starts where it had not begun, and ends with those bits."""
    if (path / "config.json").exists():
        ended = command(path.parent, "train", "--resume", str(path))
    else:
        ended = command(path.parent, *run_words(str(path)))
    assert ended.status == 0, f"does not go on: {ended}"
    assert end_of(path) == undisturbed(), f"goes on to other bits: {ended}"
    tidy(path)


def tidy(path: Path, allowed: str = "") -> None:
    """Check that nothing half-written is left at or below `path`."""
    left = [str(p.relative_to(path)) for p in path.rglob("*") if p.suffix in (".partial", ".part")]
    left = [name for name in left if name != allowed]
    assert not left, f"left: {left}"
