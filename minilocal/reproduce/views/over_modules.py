"""Test error over the number of modules K, and the same of the printed errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilocal import draw
from minilocal.report.document import Part, Picture
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import by_panel, file_name, heading, label, modules, place
from minilocal.reproduce.views.sensitivity import Line, errors_over

OURS = "Test error after the last epoch over the number of modules."
BAND = " A band reaches from the least to the largest of the trials, around their mean."
PRINTED = "The printed test errors of these rows."


def over_modules(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network of the paper a figure with a line for each row over K, and one of what is printed for them.

    BP has no K and is a level line. A row without a number of ours is in neither figure.
    """
    parts: list[Part] = []
    for names, panel in by_panel(results).items():
        lines, columns = _lines(panel)
        ours = _finite({name: errors_over(line, columns) for name, line in lines.items()})
        printed = _finite({name: printed_over(lines[name], columns) for name in ours})
        caption = OURS + BAND * any(len(errors) > 1 for errors in ours.values())
        trained = heading(place(panel[0].planned.config), "")
        parts += _figure(file_name("error over k", *names), ours, columns, trained, caption)
        title = f"{heading(names, '')}, printed"
        parts += _figure(file_name("printed over k", *names), printed, columns, title, PRINTED)
    return parts


def printed_over(line: Line, columns: Sequence[str]) -> np.ndarray:
    """The printed errors of a line, (1, columns); NaN where none is printed."""
    cells = [line[column].cell.published if column in line else None for column in columns]
    return np.array([[np.nan if cell is None else cell.error for cell in cells]])


def _lines(panel: Sequence[Result]) -> tuple[dict[str, Line], list[str]]:
    """{row in words: its results by K}, and each K as text, least first."""
    numbers = {K for result in panel if (K := modules(result)) is not None}
    columns = [str(K) for K in sorted(numbers)]
    lines: dict[str, Line] = {}
    for result in panel:
        K = modules(result)
        line = lines.setdefault(label(result, f"K = {K}"), {})
        line.update(dict.fromkeys(columns if K is None else [str(K)], result))
    return lines, columns


def _finite(errors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The lines that have a number."""
    return {name: values for name, values in errors.items() if np.isfinite(values).any()}


def _figure(name: str, lines: Mapping[str, np.ndarray], columns: Sequence[str], title: str, caption: str) -> list[Part]:
    """The figure, where there is a line and more than one K."""
    if not lines or len(columns) < 2:
        return []
    errors = {row: list(values) for row, values in lines.items()}
    figure = draw.curves(errors, points=columns, along="number of modules K", title=title, repeats="trials")
    return [Picture(name, at_page_size(figure), caption)]
