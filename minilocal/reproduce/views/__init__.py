"""What is shown of an experiment's results: one file a view.

A view gets the plan and the results of its cells, and returns parts of a report: texts, tables, figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from minilocal.report.document import Part
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.table import table


@dataclass(frozen=True)
class View:
    """`parts(plan, results)`, and whether it shows trained runs: one that does not trains nothing, at any scale."""

    parts: Callable[[Plan, Sequence[Result]], list[Part]]
    trained: bool = True


VIEWS = {"table": View(table)}

__all__ = ["VIEWS", "View"]


def __dir__() -> list[str]:
    return sorted(__all__)
