"""Heat maps: a table of numbers as colours, on a scale with white at 0 or at the least number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilocal.draw.style import INK, Figure, look
from minilocal.errors import UserError

SCALE = "PuOr_r"  # white at 0; colour-blind readers can distinguish its two ends
FROM_LEAST = "Purples"


def heat(
    rows: Mapping[str, Sequence[float]],
    *,
    along: str,
    columns: Sequence[str] = (),
    from_least: bool = False,
    title: str = "",
    label: str = "",
    form: str = "{:.2f}",
) -> Figure:
    """A row of cells for each name, top down, each with its number; NaN is an empty cell.

    The columns are called `columns`, by default 1, 2, ...; `along` says of what, and `label` names the numbers. White
    is 0, and the darkest cell is the number farthest from it; `from_least`: from the least to the largest number.

    Raises: UserError for no rows, for rows of different lengths, and where not every column has a name.
    """
    if len(lengths := {len(row) for row in rows.values()}) != 1 or not max(lengths):
        raise UserError(f"heat: the rows hold {sorted(lengths)} numbers: give each row the same, 1 or more.")
    if columns and len(columns) != max(lengths):
        raise UserError(f"heat: {len(columns)} names met {max(lengths)} columns: give each one, or none.")
    values = np.array(list(rows.values()), float)
    if np.isnan(values).all():
        raise UserError("heat: every number is NaN: there is nothing to draw.")
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    farthest = max(abs(low), abs(high)) or 1.0
    if not from_least:
        low, high = -farthest, farthest
    names = list(columns) or [str(n + 1) for n in range(values.shape[1])]
    with look():
        figure = Figure(figsize=(2.4 + 0.62 * values.shape[1], 1.0 + 0.34 * len(rows)))
        axes = figure.add_subplot(xlabel=along, title=title)
        axes.imshow(values, cmap=FROM_LEAST if from_least else SCALE, vmin=low, vmax=high, aspect="auto")
        for (row, column), value in np.ndenumerate(values):
            if np.isnan(value):
                continue
            depth = (value - low) / ((high - low) or 1.0) if from_least else abs(value) / farthest
            ink = "white" if depth > 0.6 else INK
            axes.text(column, row, form.format(value), ha="center", va="center", size=8, color=ink)
        axes.set_xticks(range(values.shape[1]), names)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    numbers = "; ".join(
        f"{name} {' '.join('none' if np.isnan(v) else form.format(v) for v in row)}" for name, row in rows.items()
    )
    figure.alt = f"{title}{'. ' if title else ''}{label or 'Numbers'} by {along}: {numbers}."
    return figure
