"""Bar charts: one number for each of several runs."""

from __future__ import annotations

from collections.abc import Mapping

from minilocal.draw.style import INK, Figure, colours, look
from minilocal.errors import UserError


def bars(values: Mapping[str, float], *, label: str, title: str = "", form: str = "{:.1f}") -> Figure:
    """A horizontal bar for each name, top down in the given order, with its number at its end, formatted by `form`.

    Raises: UserError for no values.
    """
    if not values:
        raise UserError("bars: there is no value to draw.")
    colour_of = colours(values)
    with look():
        figure = Figure(figsize=(6.4, 0.9 + 0.42 * len(values)))
        axes = figure.add_subplot(xlabel=label, title=title)
        colour = [colour_of[name] for name in values]
        rectangles = axes.barh(range(len(values)), list(values.values()), color=colour, height=0.66)
        axes.bar_label(rectangles, [form.format(v) for v in values.values()], padding=4, color=INK)
        axes.set_yticks(range(len(values)), list(values))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.invert_yaxis()
        axes.margins(x=0.12)
    numbers = "; ".join(f"{name} {form.format(value)}" for name, value in values.items())
    figure.alt = f"{title}{'. ' if title else ''}{label}: {numbers}."
    return figure
