"""Results of an experiment whose runs are made up: nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from minilocal.report.runs import Run
from minilocal.reproduce import Plan, Result
from minilocal.reproduce.plan import PlannedCell

Rows = Callable[[PlannedCell, int], list[dict[str, Any]]]  # of a cell's trial


def made_up(plan: Plan, rows: Rows) -> list[Result]:
    """The results of all cells that the plan takes, with `rows(cell, seed)` as the rows of each trial."""
    return [
        Result(planned, tuple(_run(planned, seed, rows(planned, seed)) for seed in range(planned.trials)))
        for planned in plan.taken
    ]


def errors(*by_epoch: float) -> list[dict[str, Any]]:
    """Rows with these test errors."""
    return [{"epoch": epoch, "test_error": error} for epoch, error in enumerate(by_epoch, 1)]


def _run(planned: PlannedCell, seed: int, rows: list[dict[str, Any]]) -> Run:
    return Run(Path(f"{planned.cell.name}-{seed}"), planned.trial(seed), rows, {})
