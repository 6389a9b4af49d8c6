"""Heat maps: a table of numbers as colours, on a scale with white at 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilocal.draw.style import INK, Figure, look
from minilocal.errors import UserError

SCALE = "PuOr_r"  # white at 0; colour-blind readers can distinguish its two ends


def heat(
    rows: Mapping[str, Sequence[float]], *, along: str, title: str = "", label: str = "", form: str = "{:.2f}"
) -> Figure:
    """A row of cells for each name, top down, over 1, 2, ... of what `along` names, each with its number.

    `label` names the numbers. White is 0, and the darkest cell is the number farthest from it.

    Raises: UserError for no rows, and for rows of different lengths.
    """
    if len(lengths := {len(row) for row in rows.values()}) != 1 or not max(lengths):
        raise UserError(f"heat: the rows hold {sorted(lengths)} numbers: give each row the same, 1 or more.")
    values = np.array(list(rows.values()), float)
    farthest = float(np.nanmax(np.abs(values))) or 1.0
    with look():
        figure = Figure(figsize=(2.4 + 0.62 * values.shape[1], 1.0 + 0.34 * len(rows)))
        axes = figure.add_subplot(xlabel=along, title=title)
        axes.imshow(values, cmap=SCALE, vmin=-farthest, vmax=farthest, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            ink = "white" if abs(value) > 0.6 * farthest else INK
            axes.text(column, row, form.format(value), ha="center", va="center", size=8, color=ink)
        axes.set_xticks(range(values.shape[1]), [str(n + 1) for n in range(values.shape[1])])
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    numbers = "; ".join(f"{name} {' '.join(form.format(v) for v in row)}" for name, row in rows.items())
    figure.alt = f"{title}{'. ' if title else ''}{label or 'Numbers'} by {along}: {numbers}."
    return figure
