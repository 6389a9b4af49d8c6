"""An experiment at a scale: the configuration of each cell, those that are taken, and why the others are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec

from minilocal import rules, sweep
from minilocal.config import Config, Source, resolve
from minilocal.errors import UserError, nearest, unknown, whole
from minilocal.published.keys import DATA, NET, RULE
from minilocal.reproduce.buildable import obstacle
from minilocal.reproduce.cells import ExperimentCell, cells, fits
from minilocal.reproduce.experiment import SCALES, Experiment, scales
from minilocal.sweep.cells import fingerprint
from minilocal.sweep.grid import SEED
from minilocal.train.same_run import MACHINE

CELL = "cell"  # the label of a sweep's cell that names the cell of its experiment


@dataclass(frozen=True)
class PlannedCell:
    """A cell at a scale, with seed 0.

    config    at this scale; of a cell that is not asked for, that of the paper's own size
    trials    how many seeds
    left_out  why it is not trained; "" if it is
    """

    cell: ExperimentCell
    config: Config
    trials: int
    left_out: str = ""

    @cached_property
    def full(self) -> Config:
        """The configuration of the paper's own size."""
        return resolve(self.cell.sources)[0]

    def trial(self, seed: int) -> Config:
        """The configuration of one trial. Trials are seeds 0, 1, 2, ..."""
        return msgspec.structs.replace(self.config, run=msgspec.structs.replace(self.config.run, seed=seed))


@dataclass(frozen=True)
class Plan:
    """An experiment at a scale. `changes` are keys that the user set; `remarks` are for the user."""

    experiment: Experiment
    scale: str
    changes: Mapping[str, Any]
    cells: Sequence[PlannedCell]
    remarks: Sequence[str] = field(default=())

    @property
    def taken(self) -> list[PlannedCell]:
        """The cells that are not left out."""
        return [planned for planned in self.cells if not planned.left_out]

    def runs(self) -> list[sweep.Cell]:
        """The runs of all trials, seed by seed. Cells of one configuration share a run, which has all their names."""
        result: dict[str, sweep.Cell] = {}
        for seed in range(max((planned.trials for planned in self.taken), default=0)):
            for planned in self.taken:
                if seed < planned.trials:
                    run = sweep.Cell.of(planned.trial(seed), {CELL: planned.cell.name, SEED: seed})
                    key = fingerprint(run.config)
                    result[key] = with_names(run, result.get(key))
        return list(result.values())


def with_names(run: sweep.Cell, other: sweep.Cell | None) -> sweep.Cell:
    """The run with the names of the cells that either of the two is of."""
    if other is None:
        return run
    names = dict.fromkeys([*other.labels[CELL].split(","), *run.labels[CELL].split(",")])
    return replace(run, labels={**run.labels, CELL: ",".join(names)})


def plan(
    experiment: Experiment,
    scale: str,
    *,
    trials: int | None = None,
    rows: str | None = None,
    cells_: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Plan:
    """The experiment at `scale`, with `changes` to every cell's configuration.

    An experiment that trains nothing is planned at full scale, whatever `scale` is.

    rows, cells_    names or patterns, separated by commas; by default those that the scale takes
    trials          by default the scale's, else what the paper states, else 1

    Raises: UserError for an unknown scale, names that nothing fits, and where no cell can be trained.
    """
    if scale not in SCALES:
        raise unknown("scale", scale, SCALES)
    if trials is not None:
        whole("trials", trials)
    changes = changes or {}
    if wrong := [key for key in changes if key in MACHINE or key == SEED]:
        raise UserError(f"{wrong[0]} is no key of an experiment: it names the machine or the trial.")
    scale = scale if experiment.trains else "full"
    default, own = scales()[scale], getattr(experiment.scale, scale)
    every = cells(experiment)
    chosen = _chosen(every, rows, cells_, patterns_at(experiment, scale, every))
    number = trials or own.trials or default.trials
    planned, remarks = [], list[str]()
    options = {cell.name: _options(cell) for cell in every}
    for cell, why in chosen:
        fitting, left_out = _fitting(changes, cell.name, options)
        sources: list[Source] = [
            (f"scale {scale}", default.flat), (f"experiment {experiment.called}, [scale.{scale}]", own.flat),
            (f"experiment {experiment.called}, [grid]", _of_the_question(experiment, cell)), ("--set", fitting),
        ]  # fmt: skip
        config, more = resolve([*cell.sources, *(() if why else sources)])
        remarks += () if why else [*left_out, *more]
        stated = int(cell.stated.get("trials") or 1)
        planned.append(PlannedCell(cell, config, number or stated, why or obstacle(config)))
    result = Plan(experiment, scale, changes, planned, tuple(dict.fromkeys(remarks)))
    if not result.taken:
        reason = next((p.left_out for p in planned if p.cell.name in {c.name for c, why in chosen if not why}), "")
        raise UserError(f"{experiment.called} has no cell to train at scale {scale}: {reason or 'none is taken'}")
    return result


def _options(cell: ExperimentCell) -> tuple[str, set[str]]:
    """The name of a cell's rule, and its options, as "rule.alpha"."""
    name = resolve(cell.sources)[0].rule.name
    return name, {f"rule.{option}" for option in rules.options(name)}


def _fitting(
    changes: Mapping[str, Any], name: str, options: Mapping[str, tuple[str, set[str]]]
) -> tuple[dict[str, Any], list[str]]:
    """The changes for a cell, without the options that its rule lacks and that of another cell has; remarks on them."""
    if RULE in changes:
        return dict(changes), []
    rule, own = options[name]
    elsewhere = {option for _, known in options.values() for option in known}
    foreign = [key for key in changes if key in elsewhere - own]
    remarks = [f"{key} (--set) is left out for {rule}, which has no such option." for key in foreign]
    return {key: value for key, value in changes.items() if key not in foreign}, remarks


def _of_the_question(experiment: Experiment, cell: ExperimentCell) -> dict[str, Any]:
    """The cell's keys of the grid that no scale replaces, as the learning rate where that is what varies."""
    kept = [key for key in experiment.grid.flat if key not in (DATA, NET) and key in cell.keys]
    return {key: cell.keys[key] for key in kept}


def patterns_at(experiment: Experiment, scale: str, every: Sequence[ExperimentCell]) -> str:
    """The patterns of the cells that a scale takes: the experiment's, else the scale's where they fit any, else all."""
    own, default = getattr(experiment.scale, scale).cells, scales()[scale].cells
    if own is None and default is not None and any(fits(cell.name, default) for cell in every):
        return default
    return own or "*"


def _chosen(
    all_cells: Sequence[ExperimentCell], rows: str | None, cells_: str | None, by_default: str
) -> list[tuple[ExperimentCell, str]]:
    """Each cell, and why it is not taken: "" for those that fit."""
    if rows is None and cells_ is None:
        return [(c, "" if fits(c.name, by_default) else "not at this scale, unless --rows names it") for c in all_cells]
    _check("row", rows, [c.row_name for c in all_cells])
    _check("cell", cells_, [c.name for c in all_cells])
    return [
        (c, "" if fits(c.row_name, rows or "*") and fits(c.name, cells_ or "*") else "not asked for") for c in all_cells
    ]


def _check(kind: str, patterns: str | None, known: Sequence[str]) -> None:
    """Check that each name or pattern fits something. Raises: UserError."""
    for pattern in (patterns or "").split(",") if patterns is not None else ():
        if not any(fits(name, pattern) for name in known):
            raise UserError(
                f"{kind} {pattern.strip()!r} is not known{nearest(pattern.strip(), known)} --list shows all {kind}s."
            )
