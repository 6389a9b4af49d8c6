"""What the runs of a plan ended with, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from minilocal.errors import UserError
from minilocal.published.keys import MODULES
from minilocal.report import runs
from minilocal.report.compare import deviation
from minilocal.report.runs import Run
from minilocal.reproduce.cells import ExperimentCell
from minilocal.reproduce.plan import Plan, PlannedCell
from minilocal.sweep import Queue
from minilocal.sweep.cells import fingerprint


@dataclass(frozen=True)
class Result:
    """A cell with the runs of its trials that have a row, by seed. Errors are in percent, of finished runs."""

    planned: PlannedCell
    runs: tuple[Run, ...] = ()

    @property
    def cell(self) -> ExperimentCell:
        return self.planned.cell

    @cached_property
    def errors(self) -> np.ndarray:
        """The test error after the last epoch, of each finished trial."""
        return np.array([run.errors[-1] for run in self.runs if run.finished])

    @property
    def mean(self) -> float:
        """Over finished trials; NaN where there is none."""
        return float(self.errors.mean()) if len(self.errors) else np.nan

    @property
    def std(self) -> float:
        """The sample standard deviation over finished trials; NaN for less than two."""
        return deviation(self.errors)

    @property
    def best(self) -> np.ndarray:
        """The least test error over the epochs, of each finished trial: chosen on the test images."""
        return np.array([np.nanmin(run.errors) for run in self.runs if run.finished and np.isfinite(run.errors).any()])

    @property
    def epochs(self) -> int:
        """The epochs that all runs have; 0 without a run."""
        return min((run.epochs for run in self.runs), default=0)

    @property
    def finished(self) -> bool:
        """Whether every trial has been trained to its last epoch."""
        return len(self.errors) == self.planned.trials


def results(plan: Plan, queue: Queue) -> list[Result]:
    """The result of each cell that the plan takes, in its order, from the folders of the queue."""
    folders = {fingerprint(cell.config): queue.folder(cell) for cell in queue.cells}
    known: dict[str, Run] = {}
    for key, folder in folders.items():
        if (folder / "config.json").is_file():
            with suppress(UserError):  # a damaged run: the report names it among those left out
                known[key] = runs.read(folder)
    return [Result(planned, _of(planned, known)) for planned in plan.taken]


def _of(planned: PlannedCell, known: dict[str, Run]) -> tuple[Run, ...]:
    keys = [fingerprint(planned.trial(seed)) for seed in range(planned.trials)]
    return tuple(known[key] for key in keys if key in known and known[key].rows)


def baseline(result: Result, among: Sequence[Result], rule: str) -> Result | None:
    """The result of `rule` in the same network, on the same data and modules; None for BP and for the rule itself.

    With several of them, the one with the same auxiliary networks.
    """
    own = result.planned.config
    if own.rule.name in (rule, "bp"):
        return None
    same = [other for other in among if _is_beside(other, result, rule)]
    aux = [other for other in same if other.planned.config.rule.options.get("aux") == own.rule.options.get("aux")]
    return next(iter(aux or same), None)


def published_gain(result: Result, other: Result | None) -> float:
    """The printed error of the baseline less that of the cell; NaN where one of them is not printed."""
    if other is None or other.cell.published is None or result.cell.published is None:
        return np.nan
    return other.cell.published.error - result.cell.published.error


def _is_beside(other: Result, result: Result, rule: str) -> bool:
    """Whether the other is of that rule, and the cells differ in nothing but the rule; BP has any number of modules."""

    def rest(cell: ExperimentCell) -> dict[str, Any]:
        return {key: value for key, value in cell.keys.items() if key != MODULES and not key.startswith("rule.")}

    its, own = other.planned.config, result.planned.config
    cut = rule == "bp" or its.net.modules == own.net.modules
    return its.rule.name == rule and cut and rest(other.cell) == rest(result.cell)
