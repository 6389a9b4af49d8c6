"""Where a command runs: from any folder, in any terminal, with ~ for the home folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal import record
from tests.helpers.checkpoints import checkpoint
from tests.helpers.small_run import SMALL


@pytest.mark.parametrize("words", ["train --help", "data digits", "doctor --help"])
def test_a_terminal_without_these_letters_is_no_obstacle(tmp_path, words):
    environment = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1]), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "minilocal", *words.split()]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == b"" and done.stdout.isascii()


def test_a_run_on_a_relative_file_is_predicted_from_any_folder(minilocal, tmp_path, monkeypatch):
    digits = ml.data.load("digits", limit_train=40, limit_test=20)
    parts = {key: getattr(digits, key) for key in ("train_x", "train_y", "test_x", "test_y")}
    np.savez(tmp_path / "mine.npz", **parts)
    words = ["--net", "mlp", "--modules", "2", "--epochs", "1", "--batch-size", "16", "--threads", "1"]
    assert minilocal("train", *words, "--dataset", "npz:mine.npz", "--out", "run")[0] == 0
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert minilocal("predict", "../run")[0] == 0
    assert minilocal("train", "--resume", "../run")[0] == 0
    (tmp_path / "mine.npz").rename(tmp_path / "other" / "mine.npz")
    status, _, err = minilocal("predict", "../run")
    assert status == 2 and f"{tmp_path}/mine.npz does not exist" in err
    assert minilocal("predict", "../run", "--data-dir", ".")[0] == 0


def test_a_checkpoint_from_before_an_option_existed_goes_on(minilocal, tmp_path):
    """A run records every default; what has become an option since has its default then too."""
    assert minilocal("train", *SMALL, "--out", "run")[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    arrays, metadata = checkpoint(tmp_path / "run")
    for tables in (config, metadata["config"]):
        del tables["rule"]["weighting"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with record.RunFolder.reopen(tmp_path / "run", {}) as folder:
        folder.save(arrays, metadata)
    status, out, _ = minilocal("train", "--resume", "run")
    assert status == 0 and "is finished" in out


@pytest.mark.parametrize("words", ["train --config ~/t.toml", "train --config=~/t.toml --epochs 1"])
def test_a_tilde_is_the_home_folder(minilocal, tmp_path, monkeypatch, words):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    flags = 'name = "mlp"\nmodules = 2\n[data]\nlimit_train = 40\nlimit_test = 20\n[optim]\nepochs = 1\nlr = 0.01'
    (tmp_path / "home" / "t.toml").write_text(f'[run]\nout = "~/x"\nthreads = 1\n[net]\n{flags}\n')
    assert minilocal(*words.split())[0] == 0
    assert (tmp_path / "home" / "x" / "config.json").is_file() and not (tmp_path / "~").exists()
    assert minilocal("train", "--resume", "~/x")[0] == 0
    assert minilocal("predict", "~/x", "--out", "~/p.npz")[0] == 0
    assert (tmp_path / "home" / "p.npz").is_file() and not (tmp_path / "~").exists()


OWN = """
import minilocal as ml


def whisper(*, alpha: float = 0.9):
    return ml.rules.compose("Whisper", objective=ml.objectives.classifier(), boundary=ml.boundaries.link(1, alpha))
"""


@pytest.mark.parametrize(
    "rule",
    [
        ["--rule", "mine.py:whisper", "--alpha", "0.25"],
        ["--rule", "compose", "--set", "rule.objective=classifier:aux=0c2f", "--set", "rule.boundary=link:length=2"],
    ],
    ids=["own", "composed"],
)
def test_a_rule_in_words_goes_on_as_if_it_had_not_stopped_from_another_folder(minilocal, tmp_path, monkeypatch, rule):
    """Two epochs in one go, and one after the other elsewhere, end with the same arrays to the last bit."""
    (tmp_path / "mine.py").write_text(OWN)
    words = ["train", *SMALL, *rule, "--schedule", "constant"]
    assert minilocal(*words, "--epochs", "2", "--out", "at-once")[0] == 0
    assert minilocal(*words, "--out", "run")[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    status, _, err = minilocal("train", "--resume", "../run", "--epochs", "2")
    assert status == 0 and "warning" not in err
    one, other = (checkpoint(tmp_path / run)[0] for run in ("at-once", "run"))
    assert one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
    assert minilocal("predict", "../run")[0] == 0
    (tmp_path / "mine.py").write_text(OWN + "\n")
    err = minilocal("predict", "../run")[2]
    assert ("mine.py:whisper has changed since this run began" in err) == ("mine.py:whisper" in rule)
    assert err.count("\n") <= 1
