"""What is shown of an experiment's results: one file a view.

A view gets the plan and the results of its cells, and returns parts of a report: texts, tables, figures. A view that
shows configurations alone gets results without runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from minilocal.report.document import Part
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.alignment import alignment
from minilocal.reproduce.views.assumption import assumption
from minilocal.reproduce.views.bars import bars
from minilocal.reproduce.views.classes import classes
from minilocal.reproduce.views.costs import costs
from minilocal.reproduce.views.curves import curves
from minilocal.reproduce.views.memory import memory
from minilocal.reproduce.views.over_modules import over_modules
from minilocal.reproduce.views.probes import probes
from minilocal.reproduce.views.run_time import run_time
from minilocal.reproduce.views.sensitivity import sensitivity
from minilocal.reproduce.views.splits import splits
from minilocal.reproduce.views.table import table
from minilocal.reproduce.views.tradeoff import tradeoff

View = Callable[[Plan, Sequence[Result]], list[Part]]

VIEWS: dict[str, View] = {  # by the names of `experiment.NEEDS_RUNS`, which says which of them need trained runs
    "table": table, "bars": bars, "curves": curves, "over-modules": over_modules, "sensitivity": sensitivity,
    "tradeoff": tradeoff, "assumption": assumption, "alignment": alignment, "probes": probes, "splits": splits,
    "classes": classes, "memory": memory, "run-time": run_time, "costs": costs,
}  # fmt: skip

__all__ = ["VIEWS", "View"]


def __dir__() -> list[str]:
    return sorted(__all__)
