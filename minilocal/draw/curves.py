"""Curves: one number per epoch, per module, or per value of an option, for each of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from minilocal.draw.style import Figure, colours, dashes, look, markers
from minilocal.errors import UserError

ASIDE = 0.08  # of the distance between two places


def curves(
    runs: Mapping[str, Sequence[Any]],
    *,
    title: str = "",
    label: str = "test error (%)",
    along: str = "epoch",
    first: int = 1,
    points: Sequence[str] = (),
    repeats: str = "seeds",
) -> Figure:
    """A line for each run, over `first`, `first` + 1, ... of what `along` names; or over `points`, equally far apart.

    A run is a list of numbers, or one such list per seed. NaN leaves a gap; a number alone is a point, and beside one
    another where several runs have it at the same place. Several seeds are drawn as their mean, within a band from the
    least to the largest, and the legend says how many there are; `repeats` names them, as rounds of a measurement. Runs
    of one rule share its colour and differ by their dashes and markers.

    Raises: UserError for no runs, for seeds of one run with different numbers of epochs, and for a run that has not one
    number for each of the points.
    """
    if not runs:
        raise UserError("curves: there is no run to draw: give one or more.")
    colour_of, seeds_of = colours(runs), {name: _seeds(name, values) for name, values in runs.items()}
    number_of = {name: len(seeds) for name, seeds in seeds_of.items() if len(seeds) > 1}
    legends = {name: f"mean of {number} {repeats}, least to largest" for name, number in number_of.items()}
    shared = next(iter(legends.values())) if len(legends) == len(runs) and len(set(legends.values())) == 1 else None
    with look():
        figure = Figure()
        axes = figure.add_subplot(xlabel=along, ylabel=label, title=title)
        dash_of, marker_of = dashes(colour_of), markers(colour_of)
        aside = _aside(seeds_of) if points else {}
        for name, seeds in seeds_of.items():
            own = f" ({legends[name]})" if name in legends and not shared else ""
            if points and seeds.shape[1] != len(points):
                raise UserError(f"curves: {name!r} has {seeds.shape[1]} numbers for the points {', '.join(points)}.")
            colour, epochs = colour_of[name], first + np.arange(seeds.shape[1]) + aside.get(name, 0)
            alone = np.isfinite(seeds).any(axis=0).sum() == 1
            marker = marker_of[name] if points or alone else None
            style: dict[str, Any] = {"color": colour, "linestyle": dash_of[name], "marker": marker}
            axes.plot(epochs, seeds.mean(axis=0), label=name + own, **style)
            if len(seeds) > 1:
                least, largest = seeds.min(axis=0), seeds.max(axis=0)
                axes.fill_between(epochs, least, largest, color=colour, alpha=0.2, linewidth=0)
                if alone:  # a band has no width there
                    at = np.isfinite(least)
                    axes.vlines(epochs[at], least[at], largest[at], color=colour, alpha=0.4, linewidth=6)
        if points:
            axes.set_xticks(range(first, first + len(points)), points)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(title=shared, alignment="left")
    lines = "; ".join(f"{name} {_ends(seeds)}" for name, seeds in seeds_of.items())
    figure.alt = f"{title}{'. ' if title else ''}{label} by {along}, first to last: {lines}."
    return figure


def _aside(seeds_of: Mapping[str, np.ndarray]) -> dict[str, float]:
    """How far the points that are alone stand aside from their place, so that those of one place are seen."""
    at: dict[int, list[str]] = {}
    for name, seeds in seeds_of.items():
        places = np.flatnonzero(np.isfinite(seeds).any(axis=0))
        if len(places) == 1 and seeds.shape[1] > 1:
            at.setdefault(int(places[0]), []).append(name)
    return {name: ASIDE * (i - (len(names) - 1) / 2) for names in at.values() for i, name in enumerate(names)}


def _ends(seeds: np.ndarray) -> str:
    """The first and the last number of the mean over seeds that is not NaN, as text."""
    mean = seeds.mean(axis=0)
    ends = mean[np.isfinite(mean)][[0, -1]] if np.isfinite(mean).any() else []
    return " to ".join(f"{v:.3g}" for v in ends) or "none"


def _seeds(name: str, values: Sequence[Any]) -> np.ndarray:
    """The numbers of a run as an array (seeds, epochs)."""
    lengths = {len(v) if np.ndim(v) else 0 for v in values}
    if len(lengths) != 1:
        raise UserError(f"curves: the seeds of {name!r} have {sorted(lengths)} epochs: give each the same number.")
    try:
        return np.atleast_2d(np.asarray(values, float))
    except (TypeError, ValueError):
        raise UserError(f"curves: {name!r} holds {list(values)!r:.80}: give a number an epoch.") from None
