"""Bar charts: one number for each of several runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilocal.draw.style import INK, Figure, colours, look
from minilocal.errors import UserError


def bars(
    values: Mapping[str, float],
    *,
    label: str,
    title: str = "",
    form: str = "{:.1f}",
    deviations: Mapping[str, float] | None = None,
) -> Figure:
    """A horizontal bar for each name, top down in the given order, with its number at its end, formatted by `form`.

    `deviations` are lines of ± so much at the ends of bars; NaN, or a name without one, is no line.

    Raises: UserError for no values, and those that `form` does not format.
    """
    if not values:
        raise UserError("bars: there is no value to draw: give one or more.")
    try:
        [form.format(value) for value in values.values()]
    except (TypeError, ValueError, IndexError, KeyError):
        raise UserError(
            f"bars: {form!r} does not format {list(values.values())!r:.80}: give numbers, and their form."
        ) from None
    colour_of, known = colours(values), {name: d for name, d in (deviations or {}).items() if d == d}
    with look():
        figure = Figure(figsize=(6.4, 0.9 + 0.42 * len(values)))
        axes = figure.add_subplot(xlabel=label, title=title)
        colour = [colour_of[name] for name in values]
        lines: dict[str, Any] = {"xerr": [known.get(name, 0.0) for name in values], "ecolor": INK} if known else {}
        rectangles = axes.barh(range(len(values)), list(values.values()), color=colour, height=0.66, **lines)
        axes.bar_label(rectangles, [form.format(v) for v in values.values()], padding=4, color=INK)
        axes.set_yticks(range(len(values)), list(values))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.invert_yaxis()
        axes.margins(x=0.12)
    behind = {name: f" ± {form.format(d)}" for name, d in known.items()}
    numbers = "; ".join(f"{name} {form.format(value)}{behind.get(name, '')}" for name, value in values.items())
    figure.alt = f"{title}{'. ' if title else ''}{label}: {numbers}."
    return figure
