"""Segments: how each of several divisions cuts one row of things, as a network of units into modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilocal.draw.style import INK, MODULES, Figure, look
from minilocal.errors import UserError

NARROW = 0.026  # the share of the row from which on a segment has room for its number


def segments(
    rows: Mapping[str, Sequence[int]], *, along: str, marks: Mapping[str, int] | None = None, title: str = ""
) -> Figure:
    """A row for each division, top down, with a segment as long as each of its numbers, which stands in it.

    `along` names the things, which are counted on the axis. `marks` are {name: number of things before it}, drawn as
    lines through all rows.

    Raises: UserError for no rows, and for rows whose numbers have different sums.
    """
    if len(sums := {sum(row) for row in rows.values()}) != 1:
        raise UserError(f"segments: the rows hold {sorted(sums)} things: give each the same number, 1 or more.")
    (whole,) = sums
    with look():
        figure = Figure(figsize=(6.4, 1.3 + 0.42 * len(rows)))
        axes = figure.add_subplot(xlabel=along, title=title)
        for place, row in enumerate(rows.values()):
            start = 0
            for number, length in enumerate(row):
                colour = MODULES[number % 2]
                axes.barh(place, length, left=start, color=colour, height=0.66, edgecolor="white", linewidth=1.0)
                if length / whole >= NARROW:
                    axes.text(start + length / 2, place, str(length), ha="center", va="center", size=8, color="white")
                start += length
        for name, place in (marks or {}).items():
            axes.axvline(place, color=INK, linewidth=0.8, linestyle=":")
            axes.text(place, -0.55, f" {name}", ha="left", va="bottom", size=8, color=INK)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(visible=False)
        axes.set_xlim(0, whole)
        axes.set_ylim(len(rows) - 0.5, -0.5 - 0.5 * bool(marks))
    numbers = "; ".join(f"{name}: {', '.join(map(str, row))}" for name, row in rows.items())
    figure.alt = f"{title}{'. ' if title else ''}{whole} {along}, divided: {numbers}."
    return figure
