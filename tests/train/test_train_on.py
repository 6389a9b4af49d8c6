"""A run goes on to more epochs than it was started with, where its rates do not depend on how many there are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, record
from minilocal.errors import UserError
from minilocal.train import train
from tests.helpers.checkpoints import checkpoint
from tests.helpers.small_run import configuration, words

RESNET = {"net__name": "resnet8", "data__augment": True, "optim__momentum": 0.9}


def assert_same_end(path: Path, whole: Path) -> None:
    """The same weights, optimiser state, counters and rows, but for what a clock says."""
    (arrays, metadata), (expected, whole_metadata) = checkpoint(path), checkpoint(whole)
    assert arrays.keys() == expected.keys() and metadata["progress"] == whole_metadata["progress"]
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, err_msg=name)

    def rows(folder):
        return [{k: v for k, v in row.items() if "seconds" not in k} for row in record.rows(folder)]

    assert rows(path) == rows(whole)


@pytest.mark.parametrize("schedule", ["constant", "steps:1,3", "warmup:3+constant"])
def test_four_epochs_are_two_and_two_more(tmp_path, schedule):
    keys = {**RESNET, "optim__schedule": schedule}
    whole = train(configuration(tmp_path / "whole", **keys, optim__epochs=4)).path
    path = train(configuration(tmp_path / "run", **keys)).path
    lines: list[str] = []
    train(resume=path, epochs=4, say=lines.append)
    assert lines == [f"{path} goes on after 2 of 4 epochs"]
    assert record.config(path)["optim"]["epochs"] == 4
    assert record.recorded_environment(path)["resumed"][0]["epochs"] == 4
    assert_same_end(path, whole)


def test_a_rule_with_batches_in_flight_trains_on(tmp_path):
    keys = {"rule__name": "ddg"}
    whole = train(configuration(tmp_path / "whole", **keys, optim__epochs=4)).path
    path = train(configuration(tmp_path / "run", **keys)).path
    train(resume=path, epochs=4)
    assert_same_end(path, whole)


def test_killed_before_the_first_step_of_the_new_epochs(tmp_path, monkeypatch):
    """config.json says 4 by then, the checkpoint still 2."""
    whole = train(configuration(tmp_path / "whole", optim__epochs=4)).path
    path = train(configuration(tmp_path / "run")).path

    class Killed(Exception):
        pass

    def step(self, x, y, lr):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "step", step)
        with pytest.raises(Killed):
            train(resume=path, epochs=4)
    assert record.config(path)["optim"]["epochs"] == 4
    assert checkpoint(path)[1]["config"]["optim"]["epochs"] == 2
    train(resume=path)
    assert_same_end(path, whole)


@pytest.mark.parametrize("schedule", ["cosine", "infopro", "steps", "warmup:1+cosine"])
def test_rates_that_depend_on_the_number_of_epochs_are_refused(tmp_path, schedule):
    path = train(configuration(tmp_path / "run", optim__schedule=schedule, optim__epochs=4)).path
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    with pytest.raises(UserError, match="depend on the number of epochs") as caught:
        train(resume=path, epochs=6)
    assert "\n" not in str(caught.value) and f"net.weights={path}" in str(caught.value)
    assert {p.name: p.read_bytes() for p in path.iterdir()} == before


def test_a_run_is_not_trained_back(tmp_path):
    path = train(configuration(tmp_path / "run")).path
    with pytest.raises(UserError, match="past epoch 1 already"):
        train(resume=path, epochs=1)
    assert record.config(path)["optim"]["epochs"] == 2


def test_a_run_may_end_earlier(tmp_path):
    def stop(row):
        raise KeyError

    with pytest.raises(KeyError):
        train(configuration(tmp_path / "run", optim__epochs=4), on_epoch=stop)
    assert len(train(resume=tmp_path / "run", epochs=2).rows) == 2
    with pytest.raises(UserError, match=r"optim\.epochs = 0 \(--epochs\)"):
        train(resume=tmp_path / "run", epochs=0)


def test_a_new_run_is_not_given_epochs_twice(tmp_path):
    with pytest.raises(ml.UserError, match="epochs"):
        train(configuration(tmp_path / "run"), epochs=3)


def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", *words(), "--out", "r"]) == 0
    capsys.readouterr()
    assert cli.main(["train", "--resume", "r"]) == 0
    assert "r is finished: 2 of 2 epochs. Go on with --resume r --epochs 4\n" in capsys.readouterr().out
    assert cli.main(["train", "--resume", "r", "--epochs", "4"]) == 0
    assert "epoch   4" in capsys.readouterr().out
    assert cli.main(["train", *words(optim__epochs=3, optim__lr=1.0), "--resume", "r"]) == 2
    assert "optim.lr = 1.0" in capsys.readouterr().err
    assert json.loads((tmp_path / "r/config.json").read_text())["optim"]["epochs"] == 4
    (tmp_path / "f.toml").write_text("[optim]\nepochs = 3\n")
    assert cli.main(["train", "--config", "f.toml", "--resume", "r"]) == 2
    assert "does not agree" in capsys.readouterr().err
    assert cli.main(["train", *words(optim__schedule="cosine"), "--out", "c"]) == 0
    assert cli.main(["train", "--resume", "c"]) == 0
    assert "in a new run: minilocal train --set net.weights=c\n" in capsys.readouterr().out
