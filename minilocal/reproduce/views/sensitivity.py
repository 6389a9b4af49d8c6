"""Test error over the values of one key: BackLink, Fig. 4 (α) and Fig. 5 (learning rate)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilocal import draw
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import file_name, in_order, label, panels
from minilocal.reproduce.views.table import ours, scale_text

AXES = {"rule.aux": "auxiliary networks"}

Line = dict[str, Result]  # {column in words: result}; a cell without a column stands for all


def sensitivity(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network and K a figure with a line for each row over the columns, a table, and where each is least."""
    parts: list[Part] = [scale_text(plan, results)]
    for title, K, members in panels(results):
        lines, columns = dict[str, Line](), in_order(members)
        for result in members:
            own = result.cell.column
            line = lines.setdefault(label(result, K, own), {})
            line.update(dict.fromkeys([own] if own else columns, result))
        along = _axis(columns[0], plan.experiment.columns) if columns else ""
        parts += [*_figure(lines, columns, title, along), _table(lines, columns, title), *_least(lines, columns)]
    return parts


def _axis(column: str, key: str) -> str:
    """α for the column "α = 0.5"; for one without a letter the key's own word."""
    return column.partition(" = ")[0] if " = " in column else AXES.get(key, key.rpartition(".")[2])


def _figure(lines: Mapping[str, Line], columns: Sequence[str], title: str, along: str) -> list[Part]:
    """The lines that have a number."""
    errors = {name: errors_over(line, columns) for name, line in lines.items()}
    known = {name: list(e) for name, e in errors.items() if np.isfinite(e).any()}
    if not known:
        return []
    values = [column.rpartition(" = ")[2] for column in columns]
    figure = draw.curves(known, points=values, along=along, title=title)
    caption = (
        f"Test error after the last epoch over {along}. A band reaches from the least to the largest of the trials."
    )
    return [Picture(file_name("error", along, title), at_page_size(figure), caption)]


def errors_over(line: Line, columns: Sequence[str]) -> np.ndarray:
    """The test errors of a line, (trials, columns): of as many trials as all its cells with a number have finished."""
    trials = min((len(r.errors) for r in line.values() if len(r.errors)), default=0)
    errors = np.full((max(1, trials), len(columns)), np.nan)
    for place, column in enumerate(columns):
        if column in line and len(line[column].errors):
            errors[:, place] = line[column].errors[:trials]
    return errors


def _table(lines: Mapping[str, Line], columns: Sequence[str], title: str) -> Table:
    rows = [{title: n, **{c: ours(line[c]) if c in line else "" for c in columns}} for n, line in lines.items()]
    return Table(rows, ["Test error (%), mean ± standard deviation over trials."])


def _least(lines: Mapping[str, Line], columns: Sequence[str]) -> list[Part]:
    """At which column each line is least."""
    words = []
    for name, line in lines.items():
        means = {c: line[c].mean for c in columns if c in line and np.isfinite(line[c].mean)}
        if len(set(means.values())) > 1:
            words.append(f"{name}: {min(means, key=means.__getitem__)}")
    return [f"Least error: {'; '.join(words)}."] if words else []
