"""The folder of an experiment at a scale: a sweep's folder whose record says of which experiment it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minilocal.errors import UserError
from minilocal.reproduce.experiment import load
from minilocal.reproduce.plan import CELL, Plan, plan, with_names
from minilocal.sweep import Queue
from minilocal.sweep.cells import fingerprint
from minilocal.sweep.grid import SEED
from minilocal.sweep.queue import FILE

EXPERIMENT = "experiment"


def default_folder(plan: Plan) -> Path:
    """`reproduce/backlink-table3-tiny`, with the user's changes: `...-epochs2`."""
    words = [f"{key.rpartition('.')[2]}{value}" for key, value in plan.changes.items()]
    return Path("reproduce", "-".join([plan.experiment.name, plan.scale, *words]))


def opened(path: Path, plan: Plan) -> tuple[Queue, Queue]:
    """The record of the folder, with the plan's runs among those that are there, and the plan's own runs.

    Nothing is written.

    Raises: UserError where the folder is of another experiment or scale, or something else.
    """
    about, runs = facts(plan), {fingerprint(run.config): run for run in plan.runs()}
    if (path / FILE).is_file():
        recorded = Queue.read(path)
        if dict(recorded.about) != about:
            raise UserError(
                f"{path} holds {_described(recorded.about)}, not {_described(about)}: choose another --out."
            )
        before = {fingerprint(run.config): run for run in recorded.cells}
        every = before | {key: with_names(run, before.get(key)) for key, run in runs.items()}
    else:
        every = runs
    record = replace(Queue.open(path, list(every.values())), about=about)
    return record, Queue(path, [run for run in record.cells if fingerprint(run.config) in runs], about)


def facts(plan: Plan) -> dict[str, Any]:
    """What the record says of a plan."""
    return {EXPERIMENT: {"name": plan.experiment.called, "scale": plan.scale, "set": dict(plan.changes)}}


def planned(queue: Queue) -> Plan:
    """The plan of all runs that are recorded in a folder.

    Raises: UserError where its experiment is not known any more.
    """
    about = queue.about[EXPERIMENT]
    trials = 1 + max(cell.labels[SEED] for cell in queue.cells)
    names = ",".join(dict.fromkeys(cell.labels[CELL] for cell in queue.cells))  # of one run several, with commas
    return plan(load(about["name"]), about["scale"], trials=trials, cells_=names, changes=about["set"])


def is_experiment(path: Path) -> bool:
    """Whether a folder is an experiment's. Raises: UserError where its record is damaged."""
    return (path / FILE).is_file() and EXPERIMENT in Queue.read(path).about


def _described(about: Mapping[str, Any]) -> str:
    entry = about.get(EXPERIMENT)
    if entry is None:
        return "a sweep"
    changes = "".join(f", {key}={value}" for key, value in entry["set"].items())
    return f"{entry['name']} at scale {entry['scale']}{changes}"
