"""Runs of one configuration as one curve, and curves of one network on one data set as a panel.

Two runs belong together where their configurations differ in nothing but the seed and the machine. Names never decide:
a curve is called by what sets it apart from the others of its panel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from minilocal import rules
from minilocal.report.runs import Run

SHORT = {
    "net.name": "", "net.modules": "K", "rule.length": "l", "rule.alpha": "α", "rule.beta": "β", "rule.period": "P",
    "rule.duration": "Q", "data.name": "", "optim.lr": "lr", "rule.aux": "heads", "optim.batch_size": "batch",
    "data.limit_train": "training images", "data.limit_test": "test images",
}  # fmt: skip
CROWD = 8  # curves that a panel may have; above, it has one number of modules


@dataclass(frozen=True)
class Group:
    """The runs of one configuration, one for each seed; finished ones and unfinished ones apart."""

    runs: tuple[Run, ...]
    again: int = 0  # how many groups before it have the same configuration and one of its seeds
    name: str = ""  # in figures and tables

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def settings(self) -> dict[str, Any]:
        return self.first.settings

    @property
    def rule(self) -> str:
        return self.first.rule

    @property
    def finished(self) -> bool:
        return self.first.finished

    @property
    def epochs(self) -> int:
        """The epochs that all its seeds have."""
        return min(run.epochs for run in self.runs)

    @property
    def state(self) -> str:
        """Its epochs; of unfinished runs how many there will be."""
        return min(self.runs, key=lambda run: run.epochs).state

    @cached_property
    def errors(self) -> np.ndarray:
        """Test errors, (seeds, epochs)."""
        return np.array([run.errors[: self.epochs] for run in self.runs])

    @property
    def last(self) -> np.ndarray:
        """The test error of each seed after the last epoch, (seeds,)."""
        return self.errors[:, -1]

    @property
    def best(self) -> np.ndarray:
        """The least test error of each seed over the epochs, (seeds,): chosen on the test images."""
        return np.array([np.nanmin(e) if np.isfinite(e).any() else np.nan for e in self.errors])

    @property
    def local_errors(self) -> np.ndarray:
        """Each module's own test error after the last epoch, (seeds, K); (0, 0) where a seed has none recorded."""
        errors = [run.local_errors(self.epochs) for run in self.runs]
        return np.array(errors) if len({len(e) for e in errors}) == 1 and len(errors[0]) else np.empty((0, 0))

    def convergence(self, name: str) -> np.ndarray:
        """sigma, norm_ratio or cosine from the initial weights on, (seeds, epochs + 1); NaN where none is measured."""
        return np.array([run.convergence(name)[: self.epochs + 1] for run in self.runs])

    @property
    def alignment(self) -> np.ndarray:
        """The cosine to BP's gradient of each module after the last epoch, (seeds, K); (0, 0) where a seed has none."""
        cosines = [run.alignment(self.epochs) for run in self.runs]
        return np.array(cosines) if len({len(c) for c in cosines}) == 1 and len(cosines[0]) else np.empty((0, 0))


@dataclass
class Panel:
    """Groups that belong into one figure."""

    name: str  # in file names
    title: str
    groups: list[Group] = field(default_factory=list)


def panels(runs: Sequence[Run]) -> tuple[list[Panel], list[str]]:
    """The panels of all runs that have an epoch, and remarks on runs of one configuration and seed."""
    groups, remarks = _grouped([run for run in runs if run.rows])
    crowds: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        crowds.setdefault((str(group.settings["net.name"]), str(group.settings["data.name"])), []).append(group)
    parted: dict[tuple[str, ...], list[Group]] = {}
    for place, crowd in crowds.items():
        by_modules = len(crowd) > CROWD and len({modules(group) for group in crowd}) > 1
        for group in crowd:
            parted.setdefault((*place, f"K{modules(group)}") if by_modules else place, []).append(group)
    result: list[Panel] = []
    for place, crowd in parted.items():
        used = {panel.name for panel in result}
        name = next(n for n in map(_slug, _numbered("-".join(map(_slug, place)))) if n not in used)
        result.append(Panel(name, _title(crowd), _named(crowd)))
    return result, remarks


def modules(group: Group) -> int:
    """K."""
    cut = group.settings["net.modules"]
    if isinstance(cut, str):  # a published split, infopro:16
        return int(re.findall(r"\d+", cut)[0])
    return cut if isinstance(cut, int) else len(cut)


def _grouped(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """The groups, sorted by rule, and a remark on each second run of one configuration and seed."""
    of_key: dict[tuple[str, bool, int], list[Run]] = {}
    remarks = []
    for run in sorted(runs, key=lambda run: (-run.epochs, not np.isfinite(run.convergence("sigma")).any())):
        key = json.dumps(run.settings, sort_keys=True, default=str)
        same = [r for (k, *_), others in of_key.items() if k == key for r in others if r.seed == run.seed]
        if earlier := next((r for r in same if _continues(r, run)), None):
            remarks.append(f"{run.folder} repeats {earlier.folder}, number for number: it counts once.")
            continue
        again = sum(r.finished == run.finished for r in same)
        if again:
            remarks.append(
                f"{run.folder} has the configuration and the seed of {same[0].folder}, and other numbers: it stands "
                "apart from it."
            )
        of_key.setdefault((key, run.finished, again), []).append(run)
    groups = [
        Group(tuple(sorted(members, key=lambda run: run.seed)), again) for (_, _, again), members in of_key.items()
    ]
    return sorted(groups, key=_order), remarks


def _continues(longer: Run, shorter: Run) -> bool:
    """Whether all numbers of one run are the first ones of another."""
    return np.array_equal(longer.errors[: shorter.epochs], shorter.errors, equal_nan=True) and [
        row.get("losses") for row in longer.rows[: len(shorter.rows)]
    ] == [row.get("losses") for row in shorter.rows]


def _order(group: Group) -> tuple[Any, ...]:
    """Data set, network, K, the rule's place in `rules.NAMES`, its options as text."""
    s, name = group.settings, str(group.settings["rule.name"])
    place = rules.NAMES.index(name) if name in rules.NAMES else len(rules.NAMES)
    options = [
        f"{key} {value:09.4f}" if isinstance(value, int | float) else f"{key} {value}" for key, value in s.items()
    ]
    return (str(s["data.name"]), str(s["net.name"]), modules(group), place, options, group.again, not group.finished)


def _named(groups: Sequence[Group]) -> list[Group]:
    """The groups of a panel with their names, each different."""
    differ = _differing([group.settings for group in groups])
    shown = {key for key in differ if not key.startswith("rule.")}
    used: set[str] = set()
    named = []
    for group in groups:
        s = group.settings
        alike = [other.settings for other in groups if other.settings["rule.name"] == s["rule.name"]]
        own = {key for key in _differing(alike) if key.startswith("rule.") and key != "rule.sha256"}
        keys = sorted({key for key in s if key == "rule.length"} | own) + sorted(shown)
        words = [group.rule, *(_described(key, s.get(key)) for key in keys)]
        words += ["again"] * bool(group.again) + ["unfinished"] * (not group.finished)
        name = next(n for n in _numbered(", ".join(words)) if n not in used)
        used.add(name)
        named.append(Group(group.runs, group.again, name))
    return named


def _differing(settings: Sequence[dict[str, Any]]) -> set[str]:
    keys = {key for s in settings for key in s}
    return {key for key in keys if len({str(s.get(key)) for s in settings}) > 1}


def _title(groups: Sequence[Group]) -> str:
    """What the groups of a panel share: network, K, images."""
    differ, s = _differing([group.settings for group in groups]), groups[0].settings
    words = [_described(key, s[key]) for key in ("net.name", "net.modules") if key not in differ]
    images = f"{s['data.limit_train'] or 'all'} images of " if "data.limit_train" not in differ else ""
    return ", ".join([*words, images + _data_name(s)])


def _data_name(settings: dict[str, Any]) -> str:
    """The data set's name; of a file its last part."""
    return str(settings["data.name"]).rpartition("/")[2]


def _described(key: str, value: Any) -> str:
    name = SHORT.get(key, key.partition(".")[2].replace("_", " "))
    if key == "net.modules" and isinstance(value, list | tuple):
        return f"K = {len(value)} of {', '.join(map(str, value))} units"
    if value is None:
        value = "all" if key.startswith("data.limit") else "default"
    return f"{name} = {value}" if name else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.rpartition("/")[2].lower()).strip("-")


def _numbered(name: str) -> Iterator[str]:
    """name, name 2, name 3, ..."""
    yield name
    yield from (f"{name} {n}" for n in count(2))
