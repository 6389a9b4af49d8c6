"""Convergence in runs: what rows have, that training keeps its bits, and what a report draws of them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal import UserError, draw, record
from minilocal.config import Config, from_tables, resolve, tables_of
from minilocal.report import build, write
from minilocal.report.groups import panels
from minilocal.report.runs import read
from minilocal.sweep.cells import fingerprint
from minilocal.train import Interrupted, row_text, train
from minilocal.train import build as build_run
from minilocal.train.process_group import ProcessGroup
from minilocal.train.stop import StopRequest
from tests.helpers.small_run import STEPS, configuration
from tests.helpers.written_run import write_run

SMALL: dict[str, Any] = {"net__name": "mlp", "rule__name": "gll"}


def without_seconds(row: dict[str, Any]) -> dict[str, Any]:
    """NaN as a run's file has it: null."""
    text = json.dumps({k: v for k, v in row.items() if "seconds" not in k and k != "train_loss"}).replace("NaN", "null")
    plain: dict[str, Any] = json.loads(text)
    for entry in (plain.get("convergence", {}), plain.get("convergence_before", {})):
        entry.pop("seconds", None)
    return plain


@pytest.mark.parametrize("rule", ["gll", "fdg", "pgl"])
def test_rows_have_it_and_training_keeps_its_bits(tmp_path, rule):
    keys = {**SMALL, "rule__name": rule, "data__augment": True}
    plain = train(configuration(tmp_path / "plain", **keys))
    result = train(configuration(tmp_path / "measured", run__convergence=2, **keys))
    ours, theirs = result.learner.state(), plain.learner.state()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    for one, other in zip(result.rows, plain.rows, strict=True):
        assert {k: v for k, v in one.items() if "convergence" not in k and "seconds" not in k} == {
            k: v for k, v in other.items() if "seconds" not in k
        }
    assert ["convergence_before" in row for row in result.rows] == [True, False]
    for row in result.rows:
        entry = row["convergence"]
        assert entry["batches"] == 2 and len(entry["modules"]["sigma"]) == 2 and entry["seconds"] > 0
        assert (
            row["evaluation_seconds"] > entry["seconds"] and "σ" in row_text(row) and "σ" not in row_text(plain.rows[0])
        )


def test_a_fit_has_the_same_rows(tmp_path):
    config = configuration(tmp_path / "run", run__convergence=50, **SMALL)
    result = train(config)
    dataset, learner = build_run(config)
    rows = ml.fit(learner, dataset, 2, 16, config.optim.lr, "constant", convergence=50)
    assert [without_seconds(row) for row in rows] == [without_seconds(row) for row in result.rows]
    assert rows[0]["convergence"]["batches"] == STEPS, "an epoch has no more"


def test_a_row_is_what_measure_gives_of_the_epochs_batches(tmp_path):
    config = configuration(tmp_path / "run", run__convergence=2, optim__epochs=1, **SMALL)
    result = train(config)
    dataset, learner = build_run(config)
    batches = list(dataset.batches(0, 16, learner.key))[:2]
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    (row,) = result.rows
    for state, key in ((learner, "convergence_before"), (result.learner, "convergence")):
        entry = ml.convergence.measure(state, x, y, batch_size=16).to_json()
        assert {name: row[key][name] for name in entry} == entry


class Stopping(StopRequest):
    """A request that begins after some questions."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    @property
    def stop(self) -> bool:
        self.after -= 1
        return self.after < 0

    @stop.setter
    def stop(self, value: bool) -> None:
        pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The rows of a run without a stop."""
    result = train(configuration(tmp_path_factory.mktemp("whole") / "run", run__convergence=2, **SMALL))
    return [without_seconds(row) for row in result.rows]


@pytest.mark.parametrize("after", [0, 1, 3, 5, 6, 7, 8, 10])
def test_a_run_that_is_stopped_anywhere_has_the_same_rows(tmp_path, after, whole):
    """In the first measurement, in a step, in an evaluation, in a later measurement, between two epochs."""
    config = configuration(tmp_path / "run", run__convergence=2, **SMALL)
    with pytest.raises(Interrupted):
        train(config, request=Stopping(after))
    train(resume=tmp_path / "run")
    assert [without_seconds(row) for row in record.rows(tmp_path / "run")] == whole


# ------------------------------------------------------------------ the key


def test_it_is_measured_in_one_process():
    with pytest.raises(
        UserError, match=r"run\.convergence = 3 \(test\) met run\.processes = 2 \(test\): it is measured"
    ):
        resolve([("test", {"run.convergence": 3, "run.processes": 2})])
    resolve([("test", {"run.convergence": 0, "run.processes": 2})])
    with pytest.raises(UserError, match=r"run\.convergence = -1 \(test\): expected int >= 0"):
        resolve([("test", {"run.convergence": -1})])


class Two(ProcessGroup):
    """Two processes, of which this is the first."""

    size = 2


def test_ranks_are_refused_before_anything_is_written(tmp_path):
    config = configuration(tmp_path / "run", run__convergence=3, **SMALL)
    with pytest.raises(UserError, match=r"run\.convergence = 3 met 2 processes"):
        train(config, group=Two())
    assert not (tmp_path / "run").exists()
    dataset, learner = build_run(config)
    learner.process_group = Two  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="convergence = 3 met a Learner of 2 ranks"):
        ml.fit(learner, dataset, 1, 16, convergence=3)
    with pytest.raises(UserError, match="convergence = -1: give a whole number, 0 or more"):
        ml.fit(learner, dataset, 1, 16, convergence=-1)


def without_key(config: Config) -> dict[str, Any]:
    tables = tables_of(config)
    del tables["run"]["convergence"]
    return tables


def test_folders_keep_their_names_and_old_configurations_load():
    """The hashes are those of a version without the key."""
    config = configuration(None)
    assert fingerprint(resolve([])[0]) == "c72cf48357" and fingerprint(config) == "8b78df7e2d"
    assert from_tables(without_key(config), "config.json") == config
    assert fingerprint(configuration(None, run__convergence=3)) != fingerprint(config)
    assert fingerprint(configuration(None, run__convergence=3)) != fingerprint(configuration(None, run__convergence=4))


def test_a_resumed_run_keeps_its_number_of_batches(tmp_path):
    from minilocal.config import check_agrees

    config = configuration(tmp_path / "run", run__convergence=1, **SMALL)
    with pytest.raises(UserError, match=r"run\.convergence = 2 \(--set\) does not agree with RUN"):
        check_agrees(config, [("--set", {"run.convergence": 2})], "RUN")


def test_a_row_of_a_gradient_of_0_is_read():
    row = {"epoch": 1, "lr": 0.1, "losses": [1.0], "test_error": 5.0, "convergence": {"sigma": None}}
    assert row_text(row).endswith("σ -") and row_text({**row, "convergence": {"sigma": math.nan}}).endswith("σ -")


# ------------------------------------------------------------------ the report


def entry(sigma: float | None, cosines: list[float | None]) -> dict[str, Any]:
    modules = {name: cosines for name in ("sigma", "norm_ratio", "cosine")}
    return {"batches": 2, "sigma": sigma, "norm_ratio": 0.75, "cosine": 0.5, "modules": modules, "seconds": 1.0}


def written(folder: Path, sigmas: list[float | None], **keys: Any) -> Path:
    """A run of two epochs with σ before the first and after each."""
    write_run(folder, [30.0, 20.0], rule__name="gll", **{"run__convergence": 2, **keys})
    rows = record.rows(folder)
    rows[0]["convergence_before"] = entry(sigmas[0], [0.1, 0.2])
    for row, sigma in zip(rows, sigmas[1:], strict=True):
        row["convergence"] = entry(sigma, [0.125 * row["epoch"], 1.0])
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_a_report_draws_it(tmp_path):
    of_seeds: list[list[float | None]] = [[0.1, 0.4, 0.6], [0.3, None, 0.8]]
    for seed, sigmas in enumerate(of_seeds):
        written(tmp_path / f"run{seed}", sigmas, run__seed=seed)
    report = build([tmp_path])
    pictures = {p.name: p for p in report.document.pictures}
    sigma, ratio, alignment = (pictures[f"{name}-mlp-digits"] for name in ("sigma", "norm-ratio", "alignment"))
    (axes,) = sigma.figure.axes
    line = axes.get_lines()[0]
    assert np.asarray(line.get_xdata()).tolist() == [0, 1, 2] and np.allclose(
        np.asarray(line.get_ydata()), [0.2, np.nan, 0.7], equal_nan=True
    )
    assert "0.75" in ratio.figure.alt and "0.25 to 1" in alignment.figure.alt and "σ" in sigma.figure.alt
    assert "band" in sigma.caption and "Assumption 1" in sigma.caption
    write(report.document, tmp_path / "out", ["csv", "md"])
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| GLL | 0.100 | 0.750 | 0.700 | 0.750 | 0.500 |" in page, "the least of all that is measured"
    rows = list(csv.DictReader((tmp_path / "out" / "epochs.csv").open(encoding="utf-8")))
    assert [row["sigma"] for row in rows] == ["0.4", "0.6", "", "0.8"] and rows[0]["module_cosines"] == "0.125 1.0"


def test_runs_without_it_have_no_figure_of_it(tmp_path):
    write_run(tmp_path / "run", [30.0, 20.0])
    assert not [p for p in build([tmp_path]).document.pictures if p.name.startswith(("sigma", "norm", "alignment"))]


def test_a_run_with_it_and_one_without_are_one_configuration(tmp_path):
    """They differ in what is measured alone. The same numbers count once, and as those that have it."""
    write_run(tmp_path / "a", [30.0, 20.0], rule__name="gll")
    written(tmp_path / "b", [0.1, 0.4, 0.6])
    (panel,), remarks = panels([read(tmp_path / "a"), read(tmp_path / "b")])
    (group,) = panel.groups
    assert group.first.folder == tmp_path / "b" and len(remarks) == 1 and "a repeats" in remarks[0]


@pytest.mark.parametrize("wrong", ["text", [], {"sigma": 1}, {**entry(0.5, [1, 2]), "cosine": "x"}, entry(0.5, ["?"])])  # type: ignore[list-item]
def test_a_damaged_entry_is_named(tmp_path, wrong):
    folder = written(tmp_path / "run", [0.1, 0.4, 0.6])
    rows = record.rows(folder)
    rows[1]["convergence"] = wrong
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"epoch 2: convergence.* is no number\.$") as caught:
        read(folder)
    assert "\n" not in str(caught.value)


def test_curves_begin_where_they_are_told():
    figure = draw.curves({"BP": [1.0, 2.0]}, first=0)
    assert np.asarray(figure.axes[0].get_lines()[0].get_xdata()).tolist() == [0, 1]
