"""Linear probes: the error of a linear classifier on each module's output of a trained network, over depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal import draw
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.report.tables import mean_text
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import file_name, label, panels
from minilocal.reproduce.views.table import scale_text

TEXT = (
    "After the last epoch a linear classifier is trained on each module's output, averaged over positions, and the "
    "network stays as it is. The error says how well planes separate the classes there."
)


def probes(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network and K the errors of the probes over depth, and their table."""
    parts: list[Part] = [scale_text(plan, results), TEXT]
    for title, K, members in panels(results):
        named = {label(result, K): errors(result) for result in members if errors(result).size}
        if not named:
            continue
        lines = {name: list(values) for name, values in named.items()}
        figure = draw.curves(lines, title=title, label="test error of a probe (%)", along="module")
        caption = (
            "Test error of linear probes from the first module to the last. A band reaches from the least to the "
            "largest of the trials."
        )
        parts.append(Picture(file_name("probes", title), at_page_size(figure), caption))
        rows = [{title: name, **_row(values)} for name, values in named.items()]
        parts.append(Table(rows, ["Test error of a linear probe (%), mean ± standard deviation over trials."]))
    return parts


def errors(result: Result) -> np.ndarray:
    """The errors of the probes of each finished trial, (trials, K); (0, 0) where none has them."""
    rows = [run.rows[-1]["probe_errors"] for run in result.runs if run.finished and "probe_errors" in run.rows[-1]]
    return np.array(rows) if rows else np.empty((0, 0))


def _row(values: np.ndarray) -> dict[str, str]:
    return {f"module {k}": mean_text(of_module) for k, of_module in enumerate(values.T, 1)}
