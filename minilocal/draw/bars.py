"""Bars: one number for each of several runs."""

from __future__ import annotations

from collections.abc import Mapping

from minilocal.draw.style import INK, Figure, colours, look
from minilocal.errors import UserError


def bars(values: Mapping[str, float], *, label: str, title: str = "", form: str = "{:.1f}") -> Figure:
    """A bar per name, from the top down in the given order, its number written at its end with `form`.

    Raises: UserError for no values.
    """
    if not values:
        raise UserError("bars: there is no value to draw.")
    chosen = colours(values)
    with look():
        figure = Figure(figsize=(6.4, 0.9 + 0.42 * len(values)))
        axes = figure.add_subplot(xlabel=label, title=title)
        drawn = axes.barh(range(len(values)), list(values.values()), color=[chosen[n] for n in values], height=0.66)
        axes.bar_label(drawn, [form.format(v) for v in values.values()], padding=4, color=INK)
        axes.set_yticks(range(len(values)), list(values))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.invert_yaxis()
        axes.margins(x=0.12)
    numbers = "; ".join(f"{name} {form.format(value)}" for name, value in values.items())
    figure.alt = f"{title}{'. ' if title else ''}{label}: {numbers}."
    return figure
