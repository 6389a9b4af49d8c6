"""`ml.sweep.run`: a grid from Python, in the folder of `minilocal sweep`."""

from __future__ import annotations

import signal
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import UserError, cli, record
from minilocal.sweep import loop
from minilocal.train import Interrupted

SMALL: dict[str, Any] = {
    "net.name": "mlp", "net.modules": 2, "data.name": "digits", "data.limit_train": 40, "data.limit_test": 20,
    "optim.epochs": 1, "run.threads": 1,
}  # fmt: skip
GRID = {**SMALL, "rule.name": ["gll", "backlink"], "run.seed": range(2)}


def test_a_grid_is_trained_once_and_is_its_table(tmp_path, capsys):
    lines: list[str] = []
    sweep = ml.sweep.run(GRID, tmp_path / "sweep", on_cell=lines.append)
    assert len(lines) == 4 and all(line.startswith("done ") for line in lines) and "4 of 4 done" in lines[-1]
    assert capsys.readouterr().out == ""
    rows = sweep.rows()
    assert [(row["rule.name"], row["seeds"]) for row in rows] == [("gll", 2), ("backlink", 2)]
    for row in rows:
        cells = [cell for cell in sweep.queue.cells if cell.labels["rule.name"] == row["rule.name"]]
        errors = [record.rows(sweep.folder / cell.name)[-1]["test_error"] for cell in cells]
        assert row["test_error"] == pytest.approx(np.mean(errors)) and row["std"] == pytest.approx(
            np.std(errors, ddof=1)
        )
        assert f"{row['test_error']:.2f} ± {row['std']:.2f}" in repr(sweep)

    assert ml.sweep.run(GRID, tmp_path / "sweep", on_cell=lines.append).rows() == rows and len(lines) == 4
    assert cli.main(["sweep", "--out", str(tmp_path / "sweep")]) == 0  # the command goes on with it
    assert repr(sweep) in capsys.readouterr().out
    report = ml.report.build(sweep.folder, tmp_path / "report")
    (table,) = report.results.values()
    assert [row["seeds"] for row in table.rows] == ["2", "2"] and str(table) in str(report)
    files = report.write()
    assert {path.parent for path in files} == {tmp_path / "report"} and files[0].name == "report.html"
    assert f"../sweep/{sweep.queue.cells[0].name}/" in files[0].read_text("utf-8")


def test_one_value_a_cut_and_an_array_of_values(tmp_path, monkeypatch):
    monkeypatch.setattr("minilocal.sweep.call.drain", lambda *cells, **options: None)
    grid = {**SMALL, "net.modules": [[3, 1]], "optim.lr": np.array([0.1, 0.2]), "run.seed": (3,)}
    sweep = ml.sweep.run(grid, tmp_path / "sweep")
    configs = [cell.config for cell in sweep.queue.cells]
    assert [(c.net.modules, c.optim.lr, c.run.seed) for c in configs] == [([3, 1], 0.1, 3), ([3, 1], 0.2, 3)]
    assert [row["test_error"] for row in sweep.rows()] == [None, None] and "0 of 1  -" in repr(sweep)
    assert '"threads": 1' not in (tmp_path / "sweep/sweep.json").read_text()  # this machine's


@pytest.mark.parametrize(
    "values, message",
    [
        ({"run.out": "x"}, "run.out is no key of a sweep: give out= instead"),
        ({"run.processes": 2}, "give jobs= instead"),
        ({"run.threads": [1, 2]}, "run.threads names the machine"),
        ({"optim.lr": []}, "optim.lr has no value"),
        ({"net.nam": "mlp"}, "did you mean 'name'|net.nam"),
    ],
)
def test_what_no_grid_is(values, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        ml.sweep.run({**SMALL, **values}, tmp_path / "sweep")
    assert "\n" not in str(caught.value) and not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "values, message",
    [({}, "the grid is empty"), ([("rule.name", "gll")], "the grid is a list"), ({5: "gll"}, "key 5 of the grid")],
)
def test_a_grid_is_a_dict_with_keys(values, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        ml.sweep.run(values, tmp_path / "sweep")
    assert "\n" not in str(caught.value) and not (tmp_path / "sweep").exists()


def test_options_that_a_rule_lacks_are_remarked(tmp_path, monkeypatch):
    monkeypatch.setattr("minilocal.sweep.call.drain", lambda *cells, **options: None)
    (remark,) = ml.sweep.run({**GRID, "rule.alpha": 0.25}, tmp_path / "sweep").remarks
    assert "left out for gll" in remark


def test_a_stop_says_how_far_it_is_and_the_same_call_goes_on(tmp_path, monkeypatch):
    trained = loop._trained

    def stopping(*work):
        result = trained(*work)
        signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(loop, "_trained", stopping)
    with pytest.raises(Interrupted, match=r"saved: 1 of 4 done, 3 left\. The same call goes on\."):
        ml.sweep.run(GRID, tmp_path / "sweep")
    monkeypatch.setattr(loop, "_trained", trained)
    assert [row["seeds"] for row in ml.sweep.run(GRID, tmp_path / "sweep").rows()] == [2, 2]


def test_several_processes(tmp_path):
    lines: list[str] = []
    sweep = ml.sweep.run({**GRID, "run.seed": 0}, tmp_path / "sweep", jobs=2, on_cell=lines.append)
    assert [row["seeds"] for row in sweep.rows()] == [1, 1] and len(lines) == 2 and sweep.remarks == ()
