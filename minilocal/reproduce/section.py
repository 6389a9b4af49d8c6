"""What an experiment shows of its results: a section of a report, and the rows of its CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minilocal.report.document import Section
from minilocal.reproduce.deviations import deviations
from minilocal.reproduce.folder import planned
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result, baseline, published_gain, results
from minilocal.reproduce.views import VIEWS
from minilocal.sweep import Queue


def title_of(plan: Plan) -> str:
    """The experiment's title, the scale, and what the user changed."""
    changes = "".join(f", {key}={value}" for key, value in plan.changes.items())
    return plan.experiment.title + f", at scale {plan.scale}" * plan.experiment.trains + changes


def section(plan: Plan, ours: Sequence[Result]) -> Section:
    """What the views of an experiment show."""
    shown = Section(title_of(plan), [plan.experiment.about] if plan.experiment.about else [])
    for name in plan.experiment.views:
        shown.parts += VIEWS[name](plan, ours)
    return shown


def of_folder(path: Path) -> tuple[Section, list[dict[str, object]]]:
    """The section of an experiment's folder, and its records. Raises: UserError as `planned` and `results`."""
    queue = Queue.read(path)
    plan = planned(queue)
    ours = results(plan, queue)
    return section(plan, ours), records(plan, ours)


def records(plan: Plan, ours: Sequence[Result]) -> list[dict[str, object]]:
    """A row for each cell, in full precision; a missing number is empty."""
    rows = []
    for result in ours:
        cell, other = result.cell, baseline(result, ours, plan.experiment.baseline)
        rows.append(
            {
                "experiment": plan.experiment.name,
                "scale": plan.scale,
                "cell": cell.name,
                "row": cell.row,
                "column": cell.column,
                "trials": len(result.errors),
                "of_trials": result.planned.trials,
                "last_error_mean": _value(result.mean),
                "last_error_std": _value(result.std),
                "best_error_mean_on_test": _value(float(result.best.mean()) if len(result.best) else np.nan),
                "published_error": _value(cell.published.error if cell.published else np.nan),
                "gain": _value(other.mean - result.mean if other else np.nan),
                "published_gain": _value(published_gain(result, other)),
                "deviations": "; ".join(deviations(result.planned)),
            }
        )
    return rows


def _value(number: float) -> object:
    return round(float(number), 6) if np.isfinite(number) else ""
