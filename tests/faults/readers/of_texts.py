"""Readers of small texts: configurations, experiments, sweeps and their marks, costs, tables, lessons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from minilocal import config
from minilocal.config.parse import parse_setting, read_file
from minilocal.explorer import errors as explorer
from minilocal.parallel.simulate import costs_file
from minilocal.parallel.simulate.costs import PartCosts
from minilocal.reproduce import experiment
from minilocal.reproduce.folder import experiments_in, planned
from minilocal.reproduce.plan import plan
from minilocal.sweep import Queue, holder, slurm, state, table
from minilocal.sweep.claim import CLAIM
from minilocal.teach.student import write_student
from tests.faults.readers.of_runs import trained
from tests.faults.readers.reader import Reader, valid
from tests.helpers import small_sweep
from tests.helpers.own_experiment import own_experiment

PARTS = ("parse", "toml", "sources", "expected", "checks", "paths", "advice")
CONFIG = tuple(f"minilocal.config.{name}" for name in PARTS)
SWEEP = tuple(f"minilocal.sweep.{name}" for name in ("queue", "cells", "state", "claim", "holder", "table"))
OF_EXPERIMENTS = ("experiment", "cells", "plan", "folder", "naming")
EXPERIMENTS = ("minilocal.config.toml", *(f"minilocal.reproduce.{name}" for name in OF_EXPERIMENTS))


# ------------------------------------------------------------------ configurations


def presets(folder: Path) -> Sequence[bytes]:
    """Two presets, and a table that uses odd forms."""
    result = files("minilocal.cli.presets").iterdir()
    present = sorted((file for file in result if file.name.endswith(".toml")), key=lambda file: file.name)
    own = '[rule]\nname = "fdg"\n[net]\nname = "resnet8"\nmodules = [2, 2]\n[optim]\nlr = 5e-2\nschedule = "steps:1"\n'
    return [own.encode(), *(file.read_bytes() for file in present[:2])]


def read_config(folder: Path) -> Sequence[str]:
    checked, remarks = config.resolve([read_file(folder / "own.toml")])
    valid(isinstance(checked, config.Config), "no configuration")
    again = config.from_tables(config.tables_of(checked), "again")
    valid(again == checked, "its tables are another configuration")
    return remarks


def settings(folder: Path) -> Sequence[bytes]:
    words = ("optim.lr=.1", "net.modules=2", "rule.name=backlink", 'rule.aux="0c1f"', "run.seed=1_000")
    return [word.encode() for word in words]


def read_setting(folder: Path) -> Sequence[str]:
    """--set, of a file of words as `xargs` gives them."""
    checked, remarks = config.resolve([parse_setting((folder / "words").read_bytes().decode(errors="replace"))])
    valid(isinstance(checked, config.Config), "no configuration")
    return remarks


# ------------------------------------------------------------------ experiments


def experiments(folder: Path) -> Sequence[bytes]:
    own = own_experiment([0.25, 0.5]) + '[[where]]\ncells = "*"\noptim.lr = 0.1\n[scale.tiny]\ntrials = 2\n'
    more = [(experiment.HOME / f"{name}.toml").read_bytes() for name in experiment.NAMES[:2]]
    return [own.encode(), *more]


def read_experiment(folder: Path) -> Sequence[str]:
    loaded = experiment.load(str(folder / "own.toml"))
    whole = plan(loaded, "tiny")
    valid(len(whole.taken) > 0, "no cell")
    return [loaded.title, *whole.remarks, *(planned.cell.name for planned in whole.cells)]


# ------------------------------------------------------------------ sweeps


def sweep(folder: Path) -> Sequence[bytes]:
    small_sweep.queue(folder / "sweep")
    return [(folder / "sweep/sweep.json").read_bytes()]


def read_sweep(folder: Path) -> Sequence[str]:
    queue = Queue.read(folder / "sweep")
    for cell in queue.cells:
        valid((folder / "sweep") in queue.folder(cell).resolve().parents, "a cell is outside, in", queue.folder(cell))
    return [table.by_cell(queue, queue.states())]


def of_experiment(folder: Path) -> Sequence[bytes]:
    (folder / "own.toml").write_text(own_experiment([0.25, 0.5]))
    built = plan(experiment.load(str(folder / "own.toml")), "tiny")
    about = {"experiment": {"name": str(folder / "own.toml"), "scale": "tiny", "set": {"optim.epochs": 1}}}
    Queue(folder / "sweep", built.runs(), about).write()
    return [(folder / "sweep/sweep.json").read_bytes()]


def read_of_experiment(folder: Path) -> Sequence[str]:
    shown = []
    for result in experiments_in([str(folder)]):
        whole = planned(Queue.read(result))
        shown += [whole.experiment.title, *(p.cell.name for p in whole.cells)]
    return shown


def claims(folder: Path) -> Sequence[bytes]:
    (folder / "cell").mkdir()
    other = {"host": "elsewhere", "machine": "elsewhere 1 2", "process": 12, "start": 34, "job": "7_1", "token": "ab"}
    return [json.dumps(other).encode(), json.dumps({**other, "machine": holder._machine(), "job": None}).encode()]


def of_cell(folder: Path) -> Sequence[str]:
    """The line of `minilocal sweep --status` about a cell."""
    result = state.state(folder / "cell")
    valid(result.word in state.STATES and type(result.epochs) is int, "a state of", result)
    return [result.note]


def failed(folder: Path) -> Sequence[bytes]:
    (folder / "cell").mkdir()
    return [json.dumps({"line": "diverged", "traceback": "a\nb", "date": "2026-01-01T00:00:00+0000"}).encode()]


def scripts(folder: Path) -> Sequence[bytes]:
    return [f"#!/bin/sh\n{slurm.MARK}\n".encode()]


def read_script(folder: Path) -> Sequence[str]:
    """Whether the script may be overwritten; it is put back."""
    before = (folder / "script.sh").read_bytes()
    try:
        slurm.write(folder / "script.sh", f"# {slurm.MARK}\n")
    finally:
        (folder / "script.sh").write_bytes(before)
    valid(slurm.MARK.encode() in before, "a file of somebody else's was overwritten")
    return []


# ------------------------------------------------------------------ costs, tables, lessons


def costs(folder: Path) -> Sequence[bytes]:
    numbers = PartCosts(*range(len(PartCosts.__dataclass_fields__)))
    costs_file.save({"a part": numbers, "another": numbers}, folder / "costs.json")
    return [(folder / "costs.json").read_bytes()]


def read_costs(folder: Path) -> Sequence[str]:
    with costs_file.kept_in(folder / "costs.json") as parts:
        valid(all(isinstance(part, PartCosts) for part in parts.values()), "costs are", parts)
    return []


def tables(folder: Path) -> Sequence[bytes]:
    (folder / "mine").mkdir()
    first = experiment.NAMES[0]
    cell = plan(experiment.load(first), "tiny").cells[0].cell.name
    head = "experiment,scale,cell,row,column,trials,of_trials,last_error_mean,last_error_std,best_error_mean_on_test"
    head += ",published_error,gain,published_gain,deviations\n"
    return [f"{head}{first},tiny,{cell},a,b,1,1,12.5,,12.0,,,,a; b\n".encode()]


def read_table(folder: Path) -> Sequence[str]:
    shown = []
    for result in explorer.results(folder):
        shown += [str(value) for value in result.row.values()]
    return shown


LESSON = """# ---
# jupyter: {}
# ---
# %% [markdown]
# # A title
# [page](../docs/rules.md)

# %% tags=["solution"] exercise="4a"
x = 1

# %% tags=["solution"]
y = 2

# %% [markdown] tags=["solution"] short="seeds = 1"
# An answer.
"""


def lessons(folder: Path) -> Sequence[bytes]:
    return [LESSON.encode()]


def read_lesson(folder: Path) -> Sequence[str]:
    built = write_student(folder / "lesson.py")
    valid("lesson.py" in built.read_text("utf-8"), "the student's copy does not name the lesson")
    return []


READERS = (
    Reader("config-toml", "--config, TOML", "own.toml", presets, read_config, "toml",
           (*CONFIG, "minilocal.rules.text")),
    Reader("config-json", "--config, a config.json", "own.toml", lambda folder: [trained()["config.json"]],
           read_config, "json", CONFIG),
    Reader("setting", "--set, a word", "words", settings, read_setting, "toml",
           (*CONFIG, "minilocal.rules.text"), says=" "),
    Reader("experiment", "an experiment of one's own, TOML", "own.toml", experiments, read_experiment, "toml",
           EXPERIMENTS),
    Reader("sweep", "sweep.json", "sweep/sweep.json", sweep, read_sweep, "json", (*SWEEP, *CONFIG[2:5])),
    Reader("sweep-of-experiment", "sweep.json of an experiment", "sweep/sweep.json", of_experiment,
           read_of_experiment, "json", (*SWEEP[:2], *EXPERIMENTS), says="sweep"),
    Reader("claim", "the claim on a cell", f"cell/{CLAIM}", claims, of_cell, "json", SWEEP, refuses=()),
    Reader("failed", "the mark of a failed cell", f"cell/{state.FAILED}", failed, of_cell, "json", SWEEP, refuses=()),
    Reader("script", "a script for Slurm", "script.sh", scripts, read_script, "text", ("minilocal.sweep.slurm",)),
    Reader("costs", "simulate --costs", "costs.json", costs, read_costs, "json",
           ("minilocal.parallel.simulate.costs_file", "minilocal.record.files")),
    Reader("experiment-table", "experiment.csv, for the explorer", "mine/experiment.csv", tables, read_table, "csv",
           ("minilocal.explorer.errors", "minilocal.reproduce.experiment")),
    Reader("lesson", "a lesson, py:percent", "lesson.py", lessons, read_lesson, "percent",
           ("minilocal.teach.percent", "minilocal.teach.student"), writes=("*.student.py",)),
)  # fmt: skip
