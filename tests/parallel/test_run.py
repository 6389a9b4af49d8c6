"""A run by several ranks: its folder is that of a run in one process, and either kind resumes the other.

The ranks of a fixture train its runs one after the other: most of a run's time is the start of its processes.
"""

from __future__ import annotations

import functools
import json
import shutil
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.train import Interrupted, train
from minilocal.train.loop import Loop
from tests.helpers.checkpoints import checkpoint
from tests.helpers.fitted import fitted

pytest.importorskip("mpi4py", reason="ranks are MPI's: pip install 'minilocal[mpi]'")

RULES: list[dict[str, Any]] = [
    {"name": "backlink"},
    {"name": "fdg", "beta": 0.9},
    {"name": "pgl", "period": 2, "duration": 1},
    {"name": "dgl"},
    {"name": "bp"},
]
STOPS = [(0, 1), (1, 1), (0, 4), (1, 4)]  # a rank and its question: in a step, and while evaluating
DELAYED = (1, 8)  # the question of the last evaluation, which rank 0 has answered


def config(out, rule=RULES[0], epochs=2):
    """A run of two epochs of three steps, with augmentation."""
    return {
        "rule": rule,
        "net": {"name": "resnet8", "modules": 3},
        "data": {"name": "digits", "limit_train": 40, "limit_test": 20, "augment": True},
        "optim": {"epochs": epochs, "batch_size": 16, "lr": 0.05},
        "run": {"threads": 1, "out": str(out)},
    }


def content(run):
    """Everything in a run's folder that does not name its time or machine: arrays, counters and rows."""
    arrays, metadata = checkpoint(run)
    rows = [{key: value for key, value in row.items() if "seconds" not in key} for row in record.rows(run)]
    progress = {key: value for key, value in metadata["progress"].items() if key != "seconds"}
    return arrays, (rows, progress, metadata["images"], sorted(p.name for p in run.iterdir()))


def assert_same(run, other):
    (arrays, rest), (others, other_rest) = content(run), content(other)
    assert rest == other_rest
    assert arrays.keys() == others.keys()
    assert not [name for name in arrays if not np.array_equal(arrays[name], others[name])]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """`alone(name)`: the folder of a rule's run in one process."""

    @functools.cache
    def run(name):
        rule = next(rule for rule in RULES if rule["name"] == name)
        folder = tmp_path_factory.mktemp(name) / "one"
        train(config(folder, rule), bar=False)
        return folder

    return run


@pytest.fixture(scope="module")
def trained(ranks, tmp_path_factory):
    """`trained(runs, processes)`: what each rank says of each run, {name: [rank 0's, rank 1's, ...]}."""

    def train_all(runs, processes=2):
        file = tmp_path_factory.mktemp("runs") / "runs.json"
        file.write_text(json.dumps(runs))
        printed = sorted(map(json.loads, ranks("train_runs.py", processes, str(file)).splitlines()), key=lambda s: s[1])
        return {run["name"]: [text for name, _, text in printed if name == run["name"]] for run in runs}

    return train_all


@pytest.fixture(scope="module")
def whole(trained, tmp_path_factory):
    """A folder with a run of each rule by two ranks, and what they say of these, a fit and a run that cannot be."""
    folder = tmp_path_factory.mktemp("whole")
    runs = [{"name": rule["name"], "config": config(folder / rule["name"], rule)} for rule in RULES]
    other = {"name": "own lr", "own lr": True, "config": config(folder / "own lr")}
    return folder, trained([*runs, other, {"name": "fit", "fit": True}])


@pytest.fixture(scope="module")
def stopped(trained, tmp_path_factory):
    """A folder with runs by two ranks, each of which got a signal, and what they say of them."""
    folder = tmp_path_factory.mktemp("stopped")
    names = {f"{rank} {questions}": (rank, questions) for rank, questions in [*STOPS, DELAYED]}
    return folder, trained(
        [{"name": name, "config": config(folder / name), "stop": stop} for name, stop in names.items()]
    )


@pytest.mark.parametrize("name", [rule["name"] for rule in RULES])
def test_the_folder_is_that_of_one_process(name, alone, whole):
    folder, printed = whole
    assert printed[name] == ["2 rows", "0 rows"]
    assert_same(folder / name, alone(name))


@pytest.mark.parametrize(("rank", "questions"), STOPS)
def test_a_signal_to_any_rank_stops_all_and_one_process_goes_on(rank, questions, alone, stopped, tmp_path):
    folder, printed = stopped
    lines = printed[f"{rank} {questions}"]
    assert len(lines) == 2 and all("stopped after" in line and "--resume" in line for line in lines)
    assert all(line.endswith(", by signal 15") for line in lines)
    shutil.copytree(folder / f"{rank} {questions}", tmp_path / "two")
    train(resume=tmp_path / "two", bar=False)
    assert_same(tmp_path / "two", alone("backlink"))


def test_a_signal_that_comes_too_late_to_stop_leaves_no_message(stopped):
    _, printed = stopped
    assert printed[f"{DELAYED[0]} {DELAYED[1]}"] == ["2 rows", "0 rows"]


def test_ranks_with_other_configurations_start_no_run(whole):
    folder, printed = whole
    assert len(printed["own lr"]) == 2
    assert printed["own lr"][0].startswith("rank 1 has optim.lr 1.05, rank 0 has 0.05: ")
    assert not (folder / "own lr").exists()


def test_ranks_resume_what_one_process_has_begun(alone, trained, tmp_path, monkeypatch):
    stop = Loop._stop_if_requested

    def stop_early(loop, request, folder, state):
        request.stop = True
        stop(loop, request, folder, state)

    for rule in RULES[:2]:
        with monkeypatch.context() as patched, pytest.raises(Interrupted):
            patched.setattr(Loop, "_stop_if_requested", stop_early)
            train(config(tmp_path / rule["name"], rule), bar=False)
    names = [rule["name"] for rule in RULES[:2]]
    trained([{"name": name, "resume": str(tmp_path / name)} for name in names], 3)
    for name in names:
        assert_same(tmp_path / name, alone(name))


def test_fit_gives_every_rank_the_rows_of_one_process(whole):
    assert whole[1]["fit"] == [json.loads(json.dumps(fitted(ml.Learner)))] * 2
