"""The folder of an experiment at a scale: a sweep's folder whose record says of which experiment it is."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from minilocal.errors import UserError, shown
from minilocal.reproduce.experiment import load
from minilocal.reproduce.plan import CELL, Plan, plan, with_names
from minilocal.sweep import Queue
from minilocal.sweep.cells import fingerprint
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

    Raises: UserError where its experiment is not known any more, and where the record is damaged.
    """
    about, labels = _experiment_of(queue), [cell.labels.get(CELL) for cell in queue.cells]
    names = [name for name in labels if isinstance(name, str)]
    if not names or names != labels:
        raise UserError(f"{queue.path / FILE} is damaged: it does not say which cells of an experiment its runs are.")
    number = Counter(name for text in names for name in text.split(","))
    try:
        whole = plan(load(about["name"]), about["scale"], cells_=",".join(number), changes=about["set"])
    except UserError as error:
        raise UserError(f"{queue.path / FILE}: {error}") from None
    return replace(whole, cells=[replace(p, trials=number.get(p.cell.name, p.trials)) for p in whole.cells])


def _experiment_of(queue: Queue) -> Mapping[str, Any]:
    """Name, scale and changes of the experiment that a folder is of. Raises: UserError where the record is damaged."""
    about = queue.about.get(EXPERIMENT)
    kinds = {"name": str, "scale": str, "set": Mapping}
    if not isinstance(about, Mapping) or not all(isinstance(about.get(key), kind) for key, kind in kinds.items()):
        raise UserError(f"{queue.path / FILE} is damaged: its {EXPERIMENT!r} is {shown(about)}.")
    return about


def experiments_in(names: Iterable[str]) -> list[Path]:
    """The folders of experiments among these folders or patterns, and a level below them, each once."""
    tops = [Path(name) for text in names for name in sorted(glob.glob(os.path.expanduser(text)))]
    folders = [folder for top in tops if top.is_dir() for folder in (top, *sorted(top.iterdir()))]
    return list(dict.fromkeys(folder for folder in folders if _is_experiment(folder)))


def _is_experiment(path: Path) -> bool:
    try:
        return (path / FILE).is_file() and EXPERIMENT in Queue.read(path).about
    except UserError:  # a sweep's record that is damaged: the report reads its runs all the same
        return False


def _described(about: Mapping[str, Any]) -> str:
    entry = about.get(EXPERIMENT)
    if not isinstance(entry, Mapping) or not isinstance(entry.get("set"), Mapping):
        return "a sweep"
    changes = "".join(f", {key}={value}" for key, value in entry["set"].items())
    return f"{entry.get('name')} at scale {entry.get('scale')}{changes}"
