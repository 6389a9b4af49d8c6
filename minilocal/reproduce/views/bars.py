"""Test errors as bars with the deviation over trials: FDG, Fig. 4 (the shrinking factor β), and any set of rules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minilocal.report.document import Part, Picture
from minilocal.report.figures import bars_with_lines
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import file_name, label, panels
from minilocal.reproduce.views.table import named_errors, scale_text


def bars(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network and K a figure with a bar for each cell that has a finished trial, and a table of all cells.

    The table is left out where the experiment has the view "table" too.
    """
    alone = "table" not in plan.experiment.views
    parts: list[Part] = [scale_text(plan, results)] * alone
    for title, K, members in panels(results):
        named = {label(result, K): result for result in members}
        means = {name: r.mean for name, r in named.items() if np.isfinite(r.mean)}
        if means:
            deviations = {name: named[name].std for name in means}
            figure = bars_with_lines(means, "test error (%)", title, deviations)
            caption = "Test error after the last epoch; lines are ± one standard deviation over trials."
            parts.append(Picture(file_name("bars", title), figure, caption))
        parts += [named_errors(title, "ours (%)", named)] * alone
    return parts
