"""A run by several ranks: its folder is that of a run in one process, and either kind resumes the other."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from minilocal.train import Interrupted, train
from minilocal.train.loop import Loop
from tests.helpers.checkpoints import checkpoint
from tests.helpers.fitted import fitted

pytest.importorskip("mpi4py", reason="ranks are MPI's: pip install 'minilocal[mpi]'")

RULES = [
    {"name": "backlink"},
    {"name": "fdg", "beta": 0.9},
    {"name": "pgl", "period": 2, "duration": 1},
    {"name": "dgl"},
    {"name": "bp"},
]


def config(out, rule=RULES[0], epochs=2):
    """A run of two epochs of three steps, with augmentation."""
    return {
        "rule": rule,
        "net": {"name": "resnet8", "modules": 3},
        "data": {"name": "digits", "limit_train": 40, "limit_test": 20, "augment": True},
        "optim": {"epochs": epochs, "batch_size": 16, "lr": 0.05},
        "run": {"threads": 1, "out": str(out)},
    }


def write(path, tables):
    path.write_text(json.dumps(tables))
    return str(path)


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


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_the_folder_is_that_of_one_process(rule, ranks, tmp_path):
    train(config(tmp_path / "one", rule), bar=False)
    printed = ranks("train_runs.py", 2, write(tmp_path / "config.json", config(tmp_path / "two", rule)))
    assert sorted(printed.splitlines()) == ["rank 0: 2 rows", "rank 1: 0 rows"]
    assert_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.parametrize(("rank", "questions"), [(0, 1), (1, 1), (0, 4), (1, 4)])  # in a step, and while evaluating
def test_a_signal_to_any_rank_stops_all_and_one_process_goes_on(rank, questions, ranks, tmp_path):
    train(config(tmp_path / "one"), bar=False)
    tables = write(tmp_path / "config.json", config(tmp_path / "two"))
    printed = ranks("train_runs.py", 2, "--stop", str(rank), str(questions), tables).splitlines()
    assert len(printed) == 2 and all("stopped after" in line and "--resume" in line for line in printed)
    assert all(line.endswith(", by signal 15") for line in printed)
    train(resume=tmp_path / "two", bar=False)
    assert_same(tmp_path / "two", tmp_path / "one")


def test_a_signal_that_comes_too_late_to_stop_leaves_no_message(ranks, tmp_path):
    last = 8  # the question of the last evaluation, which rank 0 has answered
    tables = write(tmp_path / "config.json", config(tmp_path / "two"))
    printed = ranks("train_runs.py", 2, "--stop", "1", str(last), tables)
    assert sorted(printed.splitlines()) == ["rank 0: 2 rows", "rank 1: 0 rows"]


def test_ranks_with_other_configurations_start_no_run(ranks, tmp_path):
    tables = write(tmp_path / "config.json", config(tmp_path / "two"))
    printed = ranks("train_runs.py", 2, "--own-lr", tables).splitlines()
    assert len(printed) == 2 and printed[0].startswith("rank 1 has optim.lr 1.05, rank 0 has 0.05: ")
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("rule", RULES[:2], ids=lambda rule: rule["name"])
def test_ranks_resume_what_one_process_has_begun(rule, ranks, tmp_path, monkeypatch):
    train(config(tmp_path / "one", rule), bar=False)
    stop = Loop._stop_if_requested

    def stop_early(loop, request, folder, state):
        request.stop = True
        stop(loop, request, folder, state)

    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr(Loop, "_stop_if_requested", stop_early)
        train(config(tmp_path / "two", rule), bar=False)
    ranks("train_runs.py", 3, "--resume", str(tmp_path / "two"))
    assert_same(tmp_path / "two", tmp_path / "one")


def test_fit_gives_every_rank_the_rows_of_one_process(ranks):
    printed = [json.loads(line) for line in ranks("train_runs.py", 2, "--fit").splitlines()]
    assert printed == [json.loads(json.dumps(fitted(ml.Learner)))] * 2
