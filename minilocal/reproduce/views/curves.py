"""Test error over epochs: FDG, Fig. 3, and any set of rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal import draw
from minilocal.report.document import Part, Picture
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import file_name, label, panels
from minilocal.reproduce.views.table import named_errors, scale_text


def curves(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network and K a figure with the errors of each cell epoch by epoch, and a table of the last ones.

    The table is left out where the experiment has the view "table" too.
    """
    alone = "table" not in plan.experiment.views
    parts: list[Part] = [scale_text(plan, results)] * alone
    for title, K, members in panels(results):
        named = {label(result, K): result for result in members}
        lines = {name: over_epochs(result) for name, result in named.items() if result.epochs}
        if lines:
            figure = draw.curves({name: list(errors) for name, errors in lines.items()}, title=title)
            caption = "Test error after each epoch. A band reaches from the least to the largest of the trials."
            parts.append(Picture(file_name("curves", title), at_page_size(figure), caption))
        parts += [named_errors(title, "last epoch (%)", named)] * alone
    return parts


def over_epochs(result: Result) -> np.ndarray:
    """The test error after each epoch that all its runs have, (trials, epochs)."""
    return np.array([run.errors[: result.epochs] for run in result.runs])
