"""Scatter plots: two numbers of each of several runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minilocal.draw.style import Figure, colours, look
from minilocal.errors import UserError

MARKERS = "osD^vPX*<>"  # of runs that share a colour


def scatter(points: Mapping[str, tuple[float, float, float]], *, label: str, along: str, title: str = "") -> Figure:
    """A point (x, y) for each name, with a bar of ± its third number; NaN is no bar.

    `along` names x, and `label` y. Runs of one rule share its colour and differ by their markers.

    Raises: UserError for no points, and one that is no three numbers.
    """
    if not points:
        raise UserError("scatter: there is no point to draw: give one or more.")
    for name, point in points.items():
        if np.shape(point) != (3,):
            raise UserError(f"scatter: {name!r} is {point!r}: give (x, y, deviation of y), NaN for none.")
    colour_of, count = colours(points), dict.fromkeys(colours(points).values(), 0)
    with look():
        figure = Figure()
        axes = figure.add_subplot(xlabel=along, ylabel=label, title=title)
        for name, (x, y, deviation) in points.items():
            colour = colour_of[name]
            marker = MARKERS[count[colour] % len(MARKERS)]
            count[colour] += 1
            bar = deviation if deviation == deviation else None
            axes.errorbar(x, y, yerr=bar, fmt=marker, color=colour, markersize=7, capsize=3, linewidth=1.2, label=name)
        axes.set_xlim(left=0)
        axes.margins(y=0.15)
        axes.legend()
    numbers = "; ".join(f"{name} {y:.3g} at {x:.3g}" for name, (x, y, _) in points.items())
    figure.alt = f"{title}{'. ' if title else ''}{label} against {along}: {numbers}."
    return figure
