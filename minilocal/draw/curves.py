"""Curves: a number per epoch, or per module, for several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from minilocal.draw.style import Figure, colours, look
from minilocal.errors import UserError

DASHES = ["-", "--", ":", "-."]


def curves(
    runs: Mapping[str, Sequence[Any]], *, title: str = "", label: str = "test error (%)", along: str = "epoch"
) -> Figure:
    """One line per run, over epochs 1, 2, ..., or whatever is counted `along` it; a run is its numbers, or one such
    list per seed. NaN leaves a gap; a number alone is a point.

    Of several seeds the mean is drawn, within a band from the least to the largest, and the legend says how many.
    Runs of one rule share its colour and differ by their dashes.

    Raises: UserError for no runs, and for seeds of one run that have not the same number of epochs.
    """
    if not runs:
        raise UserError("curves: there is no run to draw.")
    chosen, drawn = colours(runs), {name: _seeds(name, values) for name, values in runs.items()}
    says = {name: f"mean of {len(seeds)} seeds, least to largest" for name, seeds in drawn.items() if len(seeds) > 1}
    of_all = next(iter(says.values())) if len(says) == len(runs) and len(set(says.values())) == 1 else None
    with look():
        figure = Figure()
        axes = figure.add_subplot(xlabel=along, ylabel=label, title=title)
        seen: dict[str, int] = {}
        for name, seeds in drawn.items():
            colour, own = chosen[name], f" ({says[name]})" if name in says and not of_all else ""
            epochs, dash = np.arange(1, seeds.shape[1] + 1), DASHES[seen.get(colour, 0) % len(DASHES)]
            seen[colour] = seen.get(colour, 0) + 1
            marker = "o" if np.isfinite(seeds).any(axis=0).sum() == 1 else None
            axes.plot(epochs, seeds.mean(axis=0), dash, color=colour, marker=marker, label=name + own)
            if len(seeds) > 1:
                axes.fill_between(epochs, seeds.min(axis=0), seeds.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(title=of_all, alignment="left")
    lines = "; ".join(f"{name} {_ends(seeds)}" for name, seeds in drawn.items())
    figure.alt = f"{title}{'. ' if title else ''}{label} by {along}, first to last: {lines}."
    return figure


def _ends(seeds: np.ndarray) -> str:
    """The first and the last number of a mean, of those that there are."""
    mean = seeds.mean(axis=0)
    ends = mean[np.isfinite(mean)][[0, -1]] if np.isfinite(mean).any() else []
    return " to ".join(f"{v:.3g}" for v in ends) or "none"


def _seeds(name: str, values: Sequence[Any]) -> np.ndarray:
    """(seeds, epochs)."""
    lengths = {len(v) if np.ndim(v) else 0 for v in values}
    if len(lengths) != 1:
        raise UserError(f"curves: the seeds of {name!r} have {sorted(lengths)} epochs: give each the same number.")
    return np.atleast_2d(np.asarray(values, float))
