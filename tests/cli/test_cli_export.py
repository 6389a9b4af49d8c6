"""`minilocal export`, and the commands that take its file, or say what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, record
from minilocal.cli.export import HEAD
from tests.helpers.small_run import SMALL

NAME = "digits-mlp-backlink-l1-K2"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder."""
    out = tmp_path_factory.mktemp("trained") / "run"
    assert cli.main(["train", *SMALL, "--out", str(out)]) == 0
    return out


@pytest.fixture
def exported(minilocal: Any, trained: Path) -> Path:
    """The run's file, in the folder where commands are called."""
    assert minilocal("export", str(trained))[0] == 0
    return Path(f"{NAME}.npz")


def changed(path: Path, **keys: Any) -> None:
    """Change keys of a file's entry: "row__test_error" is test_error in row."""
    with np.load(path) as entries:
        content: dict[str, Any] = {name: entries[name] for name in entries.files}
    entry = json.loads(str(content["run.json"]))
    for key, value in keys.items():
        outer, _, inner = key.partition("__")
        entry[outer][inner] = value
    np.savez(path, **{**content, "run.json": np.array(json.dumps(entry))})


def test_it_prints_what_the_file_holds(minilocal, trained):
    error = record.rows(trained)[-1]["test_error"]
    status, out, _ = minilocal("export", str(trained))
    size = -(-Path(f"{NAME}.npz").stat().st_size // 1000)
    assert status == 0
    assert out == f"{NAME}.npz: 10 arrays, {size} KB, after epoch 1 of 1: test error {error:.2f} % of 20 images\n"
    assert minilocal("export", str(trained), "--out", "net.npz")[0] == 0
    assert Path("net.npz").read_bytes() == Path(f"{NAME}.npz").read_bytes()


def test_an_unfinished_run_says_so(minilocal, monkeypatch):
    import os
    import signal

    real = ml.Learner.step

    def step(self, x, y, lr):
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, x, y, lr)

    with monkeypatch.context() as patch:
        patch.setattr(ml.Learner, "step", step)
        assert minilocal("train", *SMALL, "--out", "r")[0] == 130
    status, out, _ = minilocal("export", "r", "--out", "net.npz")
    assert status == 0
    assert out.endswith("after epoch 0 of 1 and step 1 of the next: no test error was recorded for these weights\n")
    status, out, _ = minilocal("export", "--table", "net.npz")
    assert status == 0 and "| 0 of 1, unfinished | 0 | - | 20 |" in out
    status, out, _ = minilocal("predict", "net.npz")
    assert status == 0 and " %; predictions are in net-predictions.npz\n" in out


def test_predict_writes_beside_it_what_it_writes_for_the_run(minilocal, trained, exported):
    error = record.rows(trained)[-1]["test_error"]
    outputs = [minilocal("predict", str(path))[1] for path in (trained, exported)]
    files = [trained / "predictions.npz", Path(f"{NAME}-predictions.npz")]
    for out, file in zip(outputs, files, strict=True):
        assert f": error {error:.2f} %, as recorded after epoch 1; predictions are in {file}\n" in out
    assert outputs[0].partition("\n")[2] == outputs[1].partition("\n")[2]
    with np.load(files[0]) as one, np.load(files[1]) as other:
        assert one.files == other.files and all(np.array_equal(one[name], other[name]) for name in one.files)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"row__test_error": 0.0}, "not the 0.00 % that was recorded after epoch 1: another machine or version"),
        ({"row__test_error": 0.0, "data__digest": "0"}, "after epoch 1: the images are not the same"),
        ({"row__test_error": 0.0, "data__test_images": 21}, ""),
        ({"row__test_error": 0.0, "data__test_images": None}, ""),
        ({"row__test_error": "none"}, ""),
    ],
)
def test_an_error_that_differs_on_as_many_images_is_reported(minilocal, exported, keys, words):
    changed(exported, **keys)
    status, out, _ = minilocal("predict", str(exported))
    assert status == 0 and (words in out if words else " %; predictions are in " in out.splitlines()[0])


def test_predict_takes_other_images_of_the_right_size(minilocal, exported):
    digits = ml.data.load("digits")
    np.savez("some.npz", x=digits.test_x[:7])
    np.savez("small.npz", x=digits.test_x[:7, :8, :8])
    status, out, _ = minilocal("predict", str(exported), "--images", "some.npz", "--out", "p.npz")
    assert status == 0 and out == "7 images of some.npz, no labels; predictions are in p.npz\n"
    status, _, err = minilocal("predict", str(exported), "--images", "small.npz")
    assert status == 2 and err.count("\n") == 1
    assert "the images are 8×8×1, but the network was trained on digits: 16×16×1." in err


def test_a_new_run_starts_from_it_and_another_is_trained_alike(minilocal, trained, exported):
    status, out, _ = minilocal("train", *SMALL, "--set", f"net.weights={exported}", "--out", "warm")
    assert status == 0 and f"weights of {exported.absolute()}: 10 arrays taken\n" in out
    assert minilocal("train", "--config", str(exported), "--threads", "1", "--out", "again")[0] == 0
    assert record.rows("again")[-1]["losses"] == record.rows(trained)[-1]["losses"]
    assert minilocal("export", "again", "--out", "again.npz")[0] == 0
    with np.load(exported) as one, np.load("again.npz") as other:
        assert all(np.array_equal(one[name], other[name]) for name in one.files if name != "run.json")


def test_a_table_has_a_row_for_each_file(minilocal, trained, exported):
    error = record.rows(trained)[-1]["test_error"]
    assert minilocal("export", str(trained), "--out", "b.npz")[0] == 0
    status, out, _ = minilocal("export", "--table", "b.npz", str(exported))
    head, rule, *rows = out.splitlines()
    assert status == 0 and head == "| " + " | ".join(HEAD) + " |" and rule == "|" + "---|" * len(HEAD)
    assert rows[1].startswith(f"| `{exported}` | digits, 40 training images | mlp | BackLink, l = 1 | 2 | 1 | 0 | ")
    assert f"| {error:.2f} | 20 | " in rows[1] and rows[0].startswith("| `b.npz` | ") and len(rows) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("export", "give the folder of a run"),
        ("export nowhere", "nowhere is no run folder and no file of minilocal export"),
        ("export {file}", "is an exported run already"),
        ("export {run} --out no/a.npz", "there is no folder no"),
        ("export {run} --out other.npz", "other.npz is there already, and no file of minilocal export"),
        ("export {run} --table {file}", "give it neither RUN nor --out"),
        ("export --table {run}", "is a run's folder: make a file of it"),
        ("export --table none.npz", "none.npz is no run folder and no file of minilocal export"),
        ("predict none.npz", "no file of minilocal export: there is nothing of that name"),
        ("predict other.npz", "other.npz has no entry 'run.json', so it is no exported run"),
        ("predict broken.npz", "broken.npz cannot be read (it is cut short, or was never an .npz)"),
        ("train --resume {file}", "is an exported run, weights without rows of epochs and optimiser state"),
        ("report {file}", "a new run starts from it with --set net.weights="),
        ("report broken.npz", "broken.npz is a file: give run folders"),
        ("train --config broken.npz", "configuration broken.npz is not TOML"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(minilocal, trained, exported, words, message):
    np.savez("other.npz", a=np.ones(3))
    Path("broken.npz").write_bytes(exported.read_bytes()[:-100])
    status, _, err = minilocal(*(word.format(file=exported, run=trained) for word in words.split()))
    assert status == 2 and err.count("\n") == 1 and err.startswith("minilocal: ") and message in err, err
