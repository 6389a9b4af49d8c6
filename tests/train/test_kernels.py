"""The kind of a run's kernels: recorded as it was, named where a resumed run has another, refused at the door."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal import cli, record
from minilocal.config import from_tables
from minilocal.kernels import choice
from minilocal.kernels.choice import kernels
from minilocal.train import train
from tests.helpers.checkpoints import checkpoint
from tests.helpers.small_run import configuration, words

with_numba = pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed (extra `fast`)")
LINE = "kernels were {} and are {} from here on: results differ from {}'s by round-off"


@pytest.fixture
def no_numba(monkeypatch):
    monkeypatch.setattr(choice, "find_spec", lambda name: None)


def recorded(path: Path) -> tuple[str, str]:
    return record.config(path)["run"]["kernels"], record.recorded_environment(path)["kernels"]


def as_if_by_numba(path: Path) -> None:
    """A run whose record says that it had Numba's kernels."""
    for file, key in (("config.json", "run"), ("environment.json", None)):
        tables = json.loads((path / file).read_text())
        (tables[key] if key else tables)["kernels"] = "numba"
        (path / file).write_text(json.dumps(tables))


def test_auto_is_recorded_as_what_it_became(tmp_path, no_numba):
    path = train(configuration(tmp_path / "run", run__kernels="auto")).path
    assert recorded(path) == ("numpy", "numpy")


def test_without_numba_a_run_is_refused_in_one_line_and_leaves_no_folder(tmp_path, no_numba, capsys):
    with pytest.raises(ml.UserError, match=r"run.kernels = 'numba': Numba is not installed") as refused:
        train(configuration(tmp_path / "run", run__kernels="numba"))
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()
    assert cli.main(["train", *words(), "--kernels", "numba", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "run").exists()


def test_a_resumed_run_with_other_kernels_says_so_and_goes_on(tmp_path, no_numba):
    """The same weights to the last bit, since both halves are NumPy's."""
    whole = train(configuration(tmp_path / "whole", optim__epochs=4)).path
    path = train(configuration(tmp_path / "run")).path
    as_if_by_numba(path)
    lines: list[str] = []
    train(resume=path, epochs=4, machine={"run.kernels": "numpy"}, say=lines.append)
    assert lines == [LINE.format("numba", "numpy", "numba"), f"{path} goes on after 2 of 4 epochs"]
    assert record.config(path)["run"]["kernels"] == "numpy"
    assert record.recorded_environment(path)["resumed"][0]["kernels"] == "numpy"
    for name, array in checkpoint(whole)[0].items():
        np.testing.assert_array_equal(checkpoint(path)[0][name], array, err_msg=name)
    lines.clear()
    train(resume=path, say=lines.append)
    assert not [line for line in lines if "kernels" in line]


def test_a_run_with_numbas_kernels_is_not_resumed_silently_without_them(tmp_path, no_numba):
    path = train(configuration(tmp_path / "run")).path
    as_if_by_numba(path)
    before = {p.name: p.read_bytes() for p in path.iterdir()}
    with pytest.raises(ml.UserError, match="or take numpy") as refused:
        train(resume=path, epochs=4)
    assert "\n" not in str(refused.value) and {p.name: p.read_bytes() for p in path.iterdir()} == before


def test_on_the_command_line(tmp_path, no_numba, capsys):
    path = tmp_path / "run"
    assert cli.main(["train", *words(), "--out", str(path), "--quiet"]) == 0
    as_if_by_numba(path)
    capsys.readouterr()
    assert cli.main(["train", "--resume", str(path), "--epochs", "3", "--kernels", "auto"]) == 0
    assert LINE.format("numba", "numpy", "numba") in capsys.readouterr().out.splitlines()
    assert cli.main(["train", "--kernels", "nunba"]) == 2
    assert "run.kernels = 'nunba' (--kernels)" in capsys.readouterr().err


def test_a_run_that_does_not_know_kernels_had_numpys():
    tables = json.loads('{"run": {"seed": 1}}')
    assert from_tables(tables, "an older config.json").run.kernels == "numpy"


@with_numba
def test_by_numba_the_kind_holds_for_the_run_and_the_loss_is_numpys_to_round_off(tmp_path):
    seen = []
    keys = {"net__name": "resnet8", "optim__epochs": 1}
    result = train(
        configuration(tmp_path / "numba", **keys, run__kernels="auto"), on_epoch=lambda row: seen.append(kernels())
    )
    assert seen == ["numba"] and kernels() == "numpy" and recorded(result.path) == ("numba", "numba")
    assert "numba" in record.recorded_environment(result.path)["packages"]
    numpys = train(configuration(tmp_path / "numpy", **keys))
    # three steps at a learning rate of 0.05; a float32 sum of 144 products is off by some 1e-6 of itself
    ours, theirs = ([row["losses"] for row in each.rows] for each in (result, numpys))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)
    lines: list[str] = []
    train(resume=numpys.path, epochs=2, machine={"run.kernels": "numba"}, say=lines.append)
    assert lines[0] == LINE.format("numpy", "numba", "numpy") and kernels() == "numpy"
    assert record.config(numpys.path)["run"]["kernels"] == "numba"


@with_numba
def test_by_numba_two_runs_are_the_same_to_the_last_bit(tmp_path):
    runs = [train(configuration(tmp_path / name, run__kernels="numba", run__threads=n)).path
            for name, n in (("a", 1), ("b", 1), ("c", 2))]  # fmt: skip
    first, *others = (checkpoint(path)[0] for path in runs)
    for other in others:
        for name, array in first.items():
            np.testing.assert_array_equal(other[name], array, err_msg=name)
