"""Ours beside published, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minilocal.report.cells import Cell, footnotes, gll_beside, matching, scale
from minilocal.report.groups import Group
from minilocal.rules.registry import changed

NEAR, FAR = 0.5, 2.0  # points
OWN = ("name", "length", "alpha", "aux", "beta", "period", "duration", "version", "sha256")  # options a cell prints


@dataclass(frozen=True)
class Comparison:
    """A group beside a cell that it is of.

    ours, std    mean and standard deviation over seeds of the last epoch's test error; std is NaN for one seed
    gain         GLL's mean error minus ours, where GLL ran in the same way; else NaN
    scale        how this run differs in size and recipe from the paper's, in words; "full" where it does not
    """

    group: Group
    cell: Cell
    ours: float
    std: float
    gain: float
    published_gain: float
    scale: str
    notes: tuple[str, ...]

    @property
    def difference(self) -> float:
        return self.ours - self.cell.error

    @property
    def size(self) -> str:
        """As `nearness`."""
        return nearness(self.difference, self.std)


def nearness(difference: float, std: float) -> str:
    """`near` within 0.5 points or two standard deviations, `off` within 2 points, else `far`; "" for no number."""
    if not np.isfinite(difference):
        return ""
    two, distance = 2 * std if np.isfinite(std) else 0.0, abs(round(difference, 6))
    return "near" if distance <= max(NEAR, two) else "off" if distance <= FAR else "far"


def comparisons(groups: Sequence[Group]) -> list[Comparison]:
    """Every group of a panel beside every cell that it is of."""
    return [_compared(group, cell, groups) for group in groups for cell in matching(group)]


def deviation(errors: np.ndarray) -> float:
    """The standard deviation over seeds, of n - 1; NaN for one seed."""
    return float(errors.std(ddof=1)) if len(errors) > 1 else np.nan


def _compared(group: Group, cell: Cell, groups: Sequence[Group]) -> Comparison:
    other, baseline = gll_beside(cell), _gll_of(group, groups)
    gain = np.nan if other is None or baseline is None else float(baseline.last.mean() - group.last.mean())
    return Comparison(
        group, cell, float(group.last.mean()), deviation(group.last), gain,
        other.error - cell.error if other else np.nan, _scale(group, scale(cell)), tuple(footnotes(cell)),
    )  # fmt: skip


def _gll_of(group: Group, groups: Sequence[Group]) -> Group | None:
    """The group of GLL whose configuration is this one's but for the rule, with the same auxiliary networks."""

    def rest(settings: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in settings.items() if not key.startswith("rule.") or key == "rule.aux"}

    own = (rest(group.settings), group.finished)
    same = (g for g in groups if g.settings["rule.name"] == "gll" and (rest(g.settings), g.finished) == own)
    return next(same, None)


def _scale(group: Group, paper: Mapping[str, str]) -> str:
    """The differences in size and recipe, in words."""
    config = group.first.config
    o, d, words = config.optim, config.data, []
    epochs = paper.get("epochs", "")
    if str(group.epochs) != epochs:
        words.append(f"{group.epochs} of {epochs} epochs" if epochs else f"{group.epochs} epochs")
    if not group.finished:
        words.append("unfinished")
    if d.limit_train:
        words.append(f"{d.limit_train} training images")
    if d.limit_test:
        words.append(f"{d.limit_test} test images")
    if d.validation:
        words.append(f"{d.validation} images split off for validation")
    trials = paper.get("trials", "")
    if trials and len(group.runs) < int(trials):
        words.append(f"{len(group.runs)} of {trials} seeds")
    if paper.get("batch", str(o.batch_size)) != str(o.batch_size):
        words.append(f"batch {o.batch_size}, not {paper['batch']}")
    if paper and float(paper["lr"]) != o.lr:
        words.append(f"lr {o.lr:g}, not {paper['lr']}")
    if not paper:
        words.append("the paper's recipe is not stated")
    cut = group.settings["net.modules"]
    if not isinstance(cut, int) and config.rule.name != "bp":
        words.append(f"modules {cut if isinstance(cut, str) else 'of ' + ', '.join(map(str, cut)) + ' units'}")
    options = changed(config.rule.name, config.rule.options)
    words += [f"{key} = {value}" for key, value in options.items() if key not in OWN]
    return "; ".join(words) or "full"
