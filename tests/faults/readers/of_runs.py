"""Readers of runs: their folders, checkpoints, exported files and saved Learners."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import minilocal as ml
from minilocal import config, record, saved, train
from minilocal.errors import UserError
from minilocal.record.folder import RunFolder
from minilocal.record.lock import Lock, check_unlocked
from minilocal.report.groups import panels
from minilocal.report.runs import read_all
from minilocal.report.tables import records, results
from minilocal.train.saved_run import SavedRun
from minilocal.train.saved_run import read as read_saved
from minilocal.train.weights import read_weights, warm_start
from tests.faults.readers.reader import Reader, valid
from tests.helpers.small_run import configuration

RECORD, TRAIN = "minilocal.record.", "minilocal.train."
RUNS = (RECORD + "read", RECORD + "files", RECORD + "npz", "minilocal.data.member")
FLYING = ("minilocal.engine.in_flight", "minilocal.training_state", "minilocal.learner")


@cache
def trained() -> dict[str, bytes]:
    """The files of a run of two epochs, and its exported file. The run is deleted."""
    with tempfile.TemporaryDirectory(prefix="minilocal-readers-") as top:
        run = Path(top) / "run"
        train.train(configuration(run, net__name="resnet8", optim__momentum=0.0, rule__name="bp", net__modules=1))
        train.export(run, Path(top) / "run.npz")
        files = {path.name: path.read_bytes() for path in run.iterdir()}
        return files | {"run.npz": (Path(top) / "run.npz").read_bytes()}


def run_folder(folder: Path, *without: str) -> dict[str, bytes]:
    """The run as `run` in the folder."""
    (folder / "run").mkdir()
    for name, content in trained().items():
        if name != "run.npz" and name not in without:
            (folder / "run" / name).write_bytes(content)
    return trained()


def of_run(name: str, *without: str) -> Callable[[Path], Sequence[bytes]]:
    return lambda folder: [run_folder(folder, *without)[name]]


def read_run(folder: Path) -> Sequence[str]:
    return check_saved(read_saved(folder / "run"))


def check_saved(run: SavedRun) -> Sequence[str]:
    """The run, built: whatever it states must fit."""
    built, learner = run.build()
    valid(isinstance(built, config.Config), "no configuration")
    learner.predict(np.zeros((1, *learner.net.shape), "float32"))
    valid(type(run.epochs) is int and type(run.steps) is int, "epochs are", run.epochs, run.steps)
    valid(run.test_error is None or isinstance(run.test_error, float), "an error of", run.test_error)
    images = run.images
    dataset = images.dataset(np.zeros((1, *learner.net.shape), "uint8"), np.zeros(1, "int64"))
    valid(all(map(str.isprintable, [dataset.name, *images.classes])), "classes are", images.classes)
    return []


# ------------------------------------------------------------------ small states: a few kilobytes


def small(rule: ml.rules.Rule, *, adam: bool = False) -> ml.Learner:
    net = ml.nets.mlp((6, 6), classes=3, size=2, channels=1, rng=ml.rng(0))
    optimizer = ml.optim.Adam() if adam else ml.optim.SGD()
    return ml.Learner(net, rule, 2, rng=ml.rng(1), optimizer=optimizer)


@cache
def learners() -> tuple[ml.Learner, ...]:
    built = (small(ml.rules.fdg()), small(ml.rules.backlink(), adam=True), small(ml.rules.ddg()))
    for learner in built:
        for _ in range(3):
            learner.step(np.ones((4, 2, 2, 1), "float32"), np.array([0, 1, 2, 0]), lr=0.1)
    return built


def states(folder: Path) -> Sequence[bytes]:
    """Checkpoints of learners in a folder that says what they are."""
    contents = []
    shutil.rmtree(folder / "run", ignore_errors=True)
    for learner in learners():
        progress = {"progress": {"epoch": 1, "step": 0}, "config": {"rule": {"name": "fdg"}}}
        with RunFolder.create(folder / "made", {"rule": {"name": "fdg"}}, {}) as run:
            run.save(learner.state(), progress)
        contents.append((folder / "made/checkpoint.npz").read_bytes())
        (folder / "run").mkdir(exist_ok=True)
        shutil.move(folder / "made/config.json", folder / "run/config.json")
        shutil.rmtree(folder / "made")
    return contents


@cache
def restored() -> tuple[ml.Learner, ...]:
    """Learners of the same kinds, which take any state that fits: it replaces all of theirs."""
    return small(ml.rules.fdg()), small(ml.rules.backlink(), adam=True), small(ml.rules.ddg())


def read_state(folder: Path) -> Sequence[str]:
    result = record.checkpoint(folder / "run")
    valid(result is not None, "nothing")
    assert result is not None
    arrays, progress = result
    valid(isinstance(progress, dict), "progress is", progress)
    refusals = []
    for learner in restored():
        try:
            learner.restore(arrays)
        except UserError as error:
            refusals.append(str(error))
            continue
        learner.step(np.ones((4, 2, 2, 1), "float32"), np.array([0, 1, 2, 0]), lr=0.1)
    return refusals


def learner_files(folder: Path) -> Sequence[bytes]:
    for learner in learners():
        learner.save(folder / f"{learner.rule.name}.npz")
    contents = [(folder / f"{learner.rule.name}.npz").read_bytes() for learner in learners()]
    for path in folder.iterdir():
        path.unlink()
    return contents


def read_learner(folder: Path) -> Sequence[str]:
    learner = saved.load(folder / "learner.npz")
    learner.predict(np.zeros((1, *learner.net.shape), "float32"))
    return []


def plain_weights(folder: Path) -> Sequence[bytes]:
    parameters: dict[str, Any] = learners()[1].parameters()
    np.savez(folder / "plain.npz", **parameters)
    content = (folder / "plain.npz").read_bytes()
    (folder / "plain.npz").unlink()
    return [content, *learner_files(folder)]


def read_warm(folder: Path) -> Sequence[str]:
    arrays = read_weights(folder / "weights.npz")
    valid(all(isinstance(a, np.ndarray) and not a.dtype.hasobject for a in arrays.values()), "objects")
    return [warm_start(restored()[1], folder / "weights.npz")[0]]


# ------------------------------------------------------------------ what a run's folder says in text


def read_config(folder: Path) -> Sequence[str]:
    checked = config.from_tables(record.config(folder / "run"), f"{folder}/run/config.json")
    valid(isinstance(checked, config.Config), "no configuration")
    return []


def read_environment(folder: Path) -> Sequence[str]:
    valid(isinstance(record.recorded_environment(folder / "run"), dict), "no object")
    return []


def read_rows(folder: Path) -> Sequence[str]:
    rows = record.rows(folder / "run")
    valid(all(type(row["epoch"]) is int for row in rows), "epochs are", rows)
    return []


def reported(folder: Path) -> Sequence[str]:
    """The tables of `minilocal report`, without its figures."""
    runs, left_out = read_all([folder / "run"])
    parts, remarks = panels(runs)
    tables = [str(results(panel, {group.name: 1.0 for group in panel.groups})) for panel in parts]
    memory = {(panel.name, group.name): 1.0 for panel in parts for group in panel.groups}
    valid(all(isinstance(name, str) for name in records(parts, memory, [])), "no records")
    return [*tables, *left_out, *remarks, *(line for run in runs for line in (run.state, run.machine))]


def rows_of_a_report(folder: Path) -> Sequence[bytes]:
    rows = [json.loads(line) for line in run_folder(folder)["metrics.jsonl"].splitlines()]
    convergence = {"sigma": 1.0, "norm_ratio": 0.5, "cosine": 0.25, "modules": {"cosine": [0.5]}}
    full = [{**row, "convergence": convergence, "convergence_before": convergence} for row in rows]
    full = [{**row, "local_errors": [1.0], "probe_errors": [2.0, 3.0]} for row in full]
    return [trained()["metrics.jsonl"], "".join(json.dumps(row) + "\n" for row in full).encode()]


def locks(folder: Path) -> Sequence[bytes]:
    (folder / "run").mkdir()
    return [b"process 12 on host"]


def read_lock(folder: Path) -> Sequence[str]:
    """What is said to who meets the lock of another process."""
    import fcntl

    with (folder / "run/lock").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for attempt in (check_unlocked, lambda path: Lock(path / "lock")):
            try:
                attempt(folder / "run")
            except UserError as error:
                refusal = error
    raise refusal


READERS = (
    Reader("run", "a run's checkpoint, train.load", "run/checkpoint.npz",
           of_run("checkpoint.npz", "checkpoint.previous.npz"), read_run, "npz",
           (*RUNS, TRAIN + "saved_run", TRAIN + "from_config"), says="run"),
    Reader("run-config", "config.json of a run", "run/config.json",
           of_run("config.json", "checkpoint.npz", "checkpoint.previous.npz"), read_config, "json",
           (*RUNS, "minilocal.config.sources", "minilocal.config.checks", "minilocal.config.expected",
            "minilocal.rules.text"), says="run"),
    Reader("run-environment", "environment.json", "run/environment.json",
           of_run("environment.json"), read_environment, "json", RUNS),
    Reader("run-rows", "metrics.jsonl", "run/metrics.jsonl", of_run("metrics.jsonl"), read_rows,
           "jsonl", RUNS),
    Reader("report-rows", "metrics.jsonl, for a report", "run/metrics.jsonl", rows_of_a_report, reported, "jsonl",
           (*RUNS, "minilocal.report.runs", "minilocal.report.groups"), says="run"),
    Reader("report-environment", "environment.json, for a report", "run/environment.json",
           of_run("environment.json"), reported, "json", (*RUNS, "minilocal.report.runs"), says="run"),
    Reader("checkpoint", "a checkpoint, restored", "run/checkpoint.npz", states, read_state, "npz",
           (*RUNS, *FLYING)),
    Reader("exported", "a file of minilocal export", "run.npz", lambda folder: [trained()["run.npz"]],
           lambda folder: check_saved(read_saved(folder / "run.npz")), "npz",
           (RECORD + "exported", RECORD + "npz", TRAIN + "saved_run")),
    Reader("learner", "a file of Learner.save", "learner.npz", learner_files, read_learner, "npz",
           ("minilocal.saved", RECORD + "npz", "minilocal.nets.recipe", *FLYING)),
    Reader("weights", "net.weights, a warm start", "weights.npz", plain_weights, read_warm, "npz",
           (TRAIN + "weights", RECORD + "npz", RECORD + "exported")),
    Reader("lock", "the lock of a run's folder", "run/lock", locks, read_lock, "text", (RECORD + "lock",), says="run",
           refuses_all=True),
)  # fmt: skip
