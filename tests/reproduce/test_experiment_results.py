"""What an experiment shows, from runs written by hand: means over trials, gains, deviations, notes, its report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal.config import flatten, tables_of
from minilocal.report.document import Table
from minilocal.reproduce import Plan, Result, load, opened, plan, results, section
from minilocal.reproduce.deviations import chosen, deviations, shared
from minilocal.reproduce.duration import seconds
from minilocal.reproduce.experiment import parse
from minilocal.reproduce.folder import experiments_in, planned
from minilocal.reproduce.listing import as_text, of_plan
from minilocal.reproduce.plan import CELL
from minilocal.reproduce.results import baseline, published_gain
from minilocal.reproduce.section import of_folder, records
from minilocal.reproduce.views.costs import costs
from minilocal.sweep import Queue
from tests.helpers.written_run import write_run

FEW = "cifar10-resnet32-bp,cifar10-resnet32-gll-K*,cifar10-resnet32-backlink-l2-K*"


def trained(path: Path, asked: Plan, errors: dict[str, list[float]], epochs: int | None = None) -> Queue:
    """The folder of a plan with runs that end at these errors, {cell: one for each trial}."""
    record, _ = opened(path, asked)
    record.write()
    for run in record.cells:
        ends = errors.get(run.labels[CELL], [])
        if run.config.run.seed < len(ends):
            keys = {key.replace(".", "__"): value for key, value in flatten(tables_of(run.config), "test").items()}
            rows = [90.0] * ((epochs or run.config.optim.epochs) - 1)
            write_run(record.folder(run), [*rows, ends[run.config.run.seed]], **keys)
    return record


def the_plan(scale: str = "small", **options: Any) -> Plan:
    return plan(load("backlink-table3"), scale, cells_=FEW, **options)


def tables(part: Any) -> list[Table]:
    return [table for table in part.parts if isinstance(table, Table)]


ERRORS = {
    "cifar10-resnet32-bp": [20.0, 22.0, 24.0],
    "cifar10-resnet32-gll-K4": [40.0, 41.0, 45.0],
    "cifar10-resnet32-backlink-l2-K4": [35.0, 36.0],
}


def test_means_over_trials_stand_beside_the_printed_numbers(tmp_path):
    asked = the_plan()
    ours = results(asked, trained(tmp_path / "a", asked, ERRORS))
    by_name = {result.cell.name: result for result in ours}
    gll = by_name["cifar10-resnet32-gll-K4"]
    assert gll.mean == 42.0 and gll.std == pytest.approx(np.sqrt(7)) and gll.finished and gll.epochs == 12
    link = by_name["cifar10-resnet32-backlink-l2-K4"]
    assert not link.finished and link.errors.tolist() == [35.0, 36.0] and link.best.tolist() == [35.0, 36.0]
    assert np.isnan(by_name["cifar10-resnet32-gll-K2"].mean) and by_name["cifar10-resnet32-gll-K2"].epochs == 0
    other = baseline(link, ours, "gll")
    assert other is gll and published_gain(link, other) == pytest.approx(1.94)
    assert baseline(gll, ours, "gll") is None and baseline(by_name["cifar10-resnet32-bp"], ours, "gll") is None
    errors, gains = tables(section(asked, ours))
    rows = {row["method"]: row for row in errors.rows}
    assert rows["BP"]["K = 1"] == "22.00 ± 2.00 | 6.94 [1]" and rows["GLL"]["K = 4"] == "42.00 ± 2.65 | 10.61"
    assert rows["BackLink, l = 2"]["K = 4"] == "35.50 ± 0.71 (2 of 3 trials) | 8.67 [3]"
    assert rows["GLL"]["K = 2"] == "- | 7.96" and rows["BackLink, l = 2"]["K = 16"] == ""
    assert errors.notes[0].startswith("[1] BackLink (IEEE), Table II")
    assert errors.notes[2] == "[3] BackLink (preprint), Table 2 has 8.66 for the same runs."
    assert {row["method"]: row["K = 4"] for row in gains.rows} == {"BackLink, l = 2": "+6.50 | +1.94"}
    assert not errors.shades, "a smaller run says nothing about the printed number"


def test_unfinished_runs_have_no_error_yet(tmp_path):
    asked = the_plan()
    ours = results(asked, trained(tmp_path / "a", asked, {"cifar10-resnet32-bp": [30.0]}, epochs=3))
    bp = next(result for result in ours if result.cell.name == "cifar10-resnet32-bp")
    assert bp.epochs == 3 and len(bp.runs) == 1 and not len(bp.errors) and np.isnan(bp.mean)


def test_at_full_scale_differences_are_shaded(tmp_path):
    asked = plan(load("backlink-table3"), "full", cells_="cifar10-resnet32-gll-*")
    near, off, far = ([error] * 5 for error in (8.2, 12.0, 19.0))
    names = [f"cifar10-resnet32-gll-K{K}" for K in (2, 4, 8)]
    ours = results(asked, trained(tmp_path / "a", asked, dict(zip(names, (near, off, far), strict=True))))
    (errors,) = tables(section(asked, ours))
    assert errors.shades == {(0, "K = 2"): "near", (0, "K = 4"): "off", (0, "K = 8"): "far"}


def test_the_deviations_are_every_key_in_which_a_scale_differs():
    asked = the_plan("tiny", changes={"optim.epochs": 2})
    cells = asked.taken
    assert shared(cells) == [
        "digits, not CIFAR-10", "augmentation off, not on", "800 training images", "batch 64, not 512",
        "2 of 200 epochs", "lr 0.1, not 0.5", "schedule cosine, not the paper's",
    ]  # fmt: skip
    assert chosen(asked, cells) == ["augmentation on", "schedule infopro"]
    full = plan(load("backlink-table2"), "full", cells_="cifar10-resnet32-bp", trials=2)
    assert deviations(full.taken[0]) == ["2 of 5 trials"]
    pgl = plan(load("pgl-table1"), "full", cells_="*-bp")
    assert chosen(pgl, pgl.taken) == ["augmentation on"], "its schedule is stated"


def test_trials_are_the_users_the_scales_or_the_papers():
    assert {p.trials for p in plan(load("fdg-table4"), "full").taken} == {3}
    assert {p.trials for p in plan(load("backlink-table2"), "full").taken} == {5}
    assert {p.trials for p in the_plan("small").taken} == {3}
    asked = the_plan("small", trials=2)
    assert {run.config.run.seed for run in asked.runs()} == {0, 1} and len(asked.runs()) == 2 * len(asked.taken)


def test_cells_of_one_configuration_share_a_run(tmp_path):
    asked = plan(load("backlink-table3"), "tiny", cells_="*-resnet110-gll-K4")
    (run,) = asked.runs()
    names = [f"{data}-resnet110-gll-K4" for data in ("cifar10", "stl10", "svhn")]
    assert len(asked.taken) == 3 and run.labels[CELL] == ",".join(names)
    record = trained(tmp_path / "a", asked, {run.labels[CELL]: [50.0]})
    assert [result.mean for result in results(asked, record)] == [50.0] * 3
    assert [p.cell.name for p in planned(record).taken] == names


def test_a_folder_takes_more_rows_and_trials_and_refuses_another_experiment(tmp_path):
    path = tmp_path / "a"
    first = plan(load("backlink-table3"), "tiny", cells_="cifar10-resnet32-bp")
    trained(path, first, {"cifar10-resnet32-bp": [30.0]})
    more = plan(load("backlink-table3"), "tiny", cells_="cifar10-resnet32-gll-K2", trials=2)
    record, own = opened(path, more)
    assert len(record.cells) == 3 and [run.labels[CELL] for run in own.cells] == ["cifar10-resnet32-gll-K2"] * 2
    record.write()
    again = planned(Queue.read(path))
    assert {p.cell.name: p.trials for p in again.taken} == {"cifar10-resnet32-bp": 1, "cifar10-resnet32-gll-K2": 2}
    for other, name in ((plan(load("backlink-table2"), "tiny"), "backlink-table2 at scale tiny"), (
        plan(load("backlink-table3"), "tiny", changes={"optim.epochs": 1}), "scale tiny, optim.epochs=1"
    )):  # fmt: skip
        with pytest.raises(ValueError, match=rf"a holds backlink-table3 at scale tiny, not .*{name}: choose another"):
            opened(path, other)


def test_the_section_of_a_folder_and_its_records(tmp_path):
    asked = the_plan()
    trained(tmp_path / "few", asked, ERRORS)
    assert experiments_in([str(tmp_path)]) == [tmp_path / "few"] == experiments_in([str(tmp_path / "fe*")])
    shown, rows = of_folder(tmp_path / "few")
    assert shown.heading == "BackLink (IEEE), Table III: convolutional auxiliary networks, at scale small"
    assert "42.00 ± 2.65 | 10.61" in as_text(shown)
    (row,) = [row for row in rows if row["cell"] == "cifar10-resnet32-backlink-l2-K4"]
    assert (row["trials"], row["of_trials"], row["last_error_mean"]) == (2, 3, 35.5)
    assert (row["gain"], row["published_gain"]) == (6.5, 1.94)
    assert rows == records(asked, results(asked, Queue.read(tmp_path / "few")))


def test_a_damaged_run_leaves_the_others(tmp_path):
    asked = the_plan()
    record = trained(tmp_path / "a", asked, ERRORS)
    broken = next(run for run in record.cells if run.labels[CELL] == "cifar10-resnet32-bp")
    (record.folder(broken) / "metrics.jsonl").write_text('{"epoch": 1, "test_error": "x"}\n')
    bp = next(result for result in results(asked, record) if result.cell.name == "cifar10-resnet32-bp")
    assert bp.errors.tolist() == [22.0, 24.0]


def test_what_cannot_be_built_is_left_out_with_its_reason():
    asked = plan(load("backlink-table2"), "tiny", rows="cifar10-vgg16-bp,cifar10-resnet32-bp")
    (vgg,) = [p for p in asked.cells if p.cell.name == "cifar10-vgg16-bp"]
    assert "32" in vgg.left_out and [p.cell.name for p in asked.taken] == ["cifar10-resnet32-bp"]
    fewer = plan(load("backlink-table3"), "tiny", changes={"net.name": "resnet8"}, rows="cifar10-resnet32-gll")
    assert [p.cell.name for p in fewer.taken] == ["cifar10-resnet32-gll-K2", "cifar10-resnet32-gll-K4"]
    with pytest.raises(ValueError, match="backlink-table2 has no cell to train at scale tiny: "):
        plan(load("backlink-table2"), "tiny", rows="*-vgg16-bp")


def test_parameters_and_memory_are_of_the_papers_size_at_every_scale():
    asked = plan(load("pgl-table2"), "tiny", cells_="*-bp,*-2c2f-K16")
    parameters, bytes_ = [
        part for part in costs(asked, results(asked, Queue(Path("none"), []))) if isinstance(part, Table)
    ]
    assert [list(row.values()) for row in parameters.rows] == [
        ["ResNet-32, PGL, 2c2f, P = 10, Q = 2", "1.24 | 1.24", ""], ["ResNet-32, BP", "", "0.47 | 0.86 [1]"]
    ]  # fmt: skip
    pgl, bp = bytes_.rows
    average, peak = (float(text.strip("(peak )")) for text in pgl["K = 16"].partition(" | ")[0].split(" (peak "))
    own = float(bp["K = 1"].partition(" | ")[0])
    assert average < own and peak == pytest.approx(own, abs=0.02), "a global epoch is BP's"


def test_the_list_estimates_the_time():
    own = parse(
        'title = "a"\n[recipe]\nnet.name = "mlp"\nrule.name = "gll"\noptim.epochs = 3\n[grid]\nnet.modules = [2, 3]',
        "own",
    )
    asked = plan(own, "tiny", cells_="*")
    needed = seconds(asked)
    assert needed is not None and 0 < needed < 600
    last = of_plan(asked).splitlines()[-1]
    assert last.startswith("about ") and last.endswith(" at the pace of a step now")
    assert seconds(plan(load("backlink-table3"), "full")) is None, "too many to count"


def test_the_report_of_a_folder_shows_the_experiment_first(tmp_path, minilocal_report):
    asked = plan(load("backlink-table3"), "small", cells_="cifar10-resnet32-bp", trials=1)
    trained(tmp_path / "few", asked, ERRORS)
    out = minilocal_report(str(tmp_path / "few"))
    assert out.startswith("BackLink (IEEE), Table III")
    report = (tmp_path / "report" / "report.md").read_text("utf-8")
    assert report.index("## BackLink (IEEE), Table III") < report.index("## ", report.index("at scale small"))
    rows = list(csv.DictReader((tmp_path / "report" / "experiment.csv").open(encoding="utf-8")))
    assert {row["cell"] for row in rows} == {p.cell.name for p in asked.taken}
    recorded = json.loads((tmp_path / "few" / "sweep.json").read_text())
    recorded["experiment"]["name"] = "no-such-table"
    (tmp_path / "few" / "sweep.json").write_text(json.dumps(recorded))
    assert "resnet32" in minilocal_report(str(tmp_path / "few")), "its runs are shown all the same"


@pytest.fixture
def minilocal_report(tmp_path, capsys):
    from minilocal import cli

    def call(*names: str) -> str:
        assert cli.main(["report", *names, "--out", str(tmp_path / "report"), "--format", "md,csv"]) == 0
        return str(capsys.readouterr().out)

    return call


def test_columns_of_numbers_ascend():
    text = 'title = "t"\n[recipe]\nnet.name = "mlp"\n[grid]\nnet.modules = [3, 2]\n[[rows]]\nrule.name = "gll"\n'
    bp = '[[rows]]\nrule.name = "bp"\nalone = true\n'
    asked = plan(parse(text + bp, "own"), "full")
    (errors,) = tables(section(asked, [Result(cell) for cell in asked.taken]))
    assert list(errors.rows[0]) == ["method", "K = 1", "K = 2", "K = 3"]
