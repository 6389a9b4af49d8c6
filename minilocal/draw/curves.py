"""Curves: a number per epoch, for several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from minilocal.draw.style import Figure, colours, look
from minilocal.errors import UserError

DASHES = ["-", "--", ":", "-."]


def curves(runs: Mapping[str, Sequence[Any]], *, title: str = "", label: str = "test error (%)") -> Figure:
    """One line per run, over epochs 1, 2, ...; a run is its numbers, or one such list per seed.

    Of several seeds the mean is drawn, within a band from the least to the largest, and the legend says how many.
    Runs of one rule share its colour and differ by their dashes.

    Raises: UserError for no runs, and for seeds of one run that have not the same number of epochs.
    """
    if not runs:
        raise UserError("curves: there is no run to draw.")
    chosen = colours(runs)
    with look():
        figure = Figure()
        axes = figure.add_subplot(xlabel="epoch", ylabel=label, title=title)
        seen: dict[str, int] = {}
        for name, values in runs.items():
            seeds, colour = _seeds(name, values), chosen[name]
            epochs, dash = np.arange(1, seeds.shape[1] + 1), DASHES[seen.get(colour, 0) % len(DASHES)]
            seen[colour] = seen.get(colour, 0) + 1
            many = f" (mean of {len(seeds)} seeds, least to largest)" if len(seeds) > 1 else ""
            marker = "o" if seeds.shape[1] == 1 else None  # a run of one epoch is a point
            axes.plot(epochs, seeds.mean(axis=0), dash, color=colour, marker=marker, label=name + many)
            if len(seeds) > 1:
                axes.fill_between(epochs, seeds.min(axis=0), seeds.max(axis=0), color=colour, alpha=0.2, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure


def _seeds(name: str, values: Sequence[Any]) -> np.ndarray:
    """(seeds, epochs)."""
    lengths = {len(v) if np.ndim(v) else 0 for v in values}
    if len(lengths) != 1:
        raise UserError(f"curves: the seeds of {name!r} have {sorted(lengths)} epochs: give each the same number.")
    return np.atleast_2d(np.asarray(values, float))
