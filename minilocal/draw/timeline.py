"""A timeline: what is alive after each piece of work of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from minilocal.draw.curves import DASHES
from minilocal.draw.style import Figure, colours, look
from minilocal.errors import UserError


def timeline(
    runs: Mapping[str, Sequence[float]], *, label: str, work: str = "pieces of work", title: str = ""
) -> Figure:
    """A stair for each run, one tread a piece of `work`, from the first to the last; it begins and ends at 0.

    Runs of one rule share its colour and differ by their dashes.

    Raises: UserError for no runs.
    """
    if not runs:
        raise UserError("timeline: there is no run to draw.")
    chosen = colours(runs)
    with look():
        figure = Figure()
        axes = figure.add_subplot(xlabel=work, ylabel=label, title=title)
        seen: dict[str, int] = {}
        for name, values in runs.items():
            colour = chosen[name]
            dash = DASHES[seen.get(colour, 0) % len(DASHES)]
            seen[colour] = seen.get(colour, 0) + 1
            axes.stairs(values, color=colour, linestyle=dash, linewidth=1.5, label=name, baseline=0)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.legend()
    tops = "; ".join(f"{name} {max(values):.3g}" for name, values in runs.items())
    figure.alt = f"{title}{'. ' if title else ''}{label} over the {work} of a step, at most: {tops}."
    return figure
