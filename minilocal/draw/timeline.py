"""Timelines: the bytes that are live after each operation of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minilocal.draw.style import Figure, colours, dashes, look
from minilocal.errors import UserError


def timeline(
    runs: Mapping[str, Sequence[float]], *, label: str, work: str = "pieces of work", title: str = ""
) -> Figure:
    """A stair for each run, from 0 to 0, with one tread for each number; `work` names what a tread stands for.

    Runs of one rule share its colour and differ by their dashes.

    Raises: UserError for no runs.
    """
    if not runs:
        raise UserError("timeline: there is no run to draw: give one or more.")
    colour_of = colours(runs)
    dash_of = dashes(colour_of)
    with look():
        figure = Figure()
        axes = figure.add_subplot(xlabel=work, ylabel=label, title=title)
        for name, values in runs.items():
            style: dict[str, Any] = {"color": colour_of[name], "linestyle": dash_of[name], "linewidth": 1.5}
            axes.stairs(values, label=name, baseline=0, **style)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend()
    tops = "; ".join(f"{name} {max(values):.3g}" for name, values in runs.items())
    figure.alt = f"{title}{'. ' if title else ''}{label} over the {work} of a step, at most: {tops}."
    return figure
