"""Views of trained runs: figures and tables of made-up results have the numbers of these results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

import minilocal as ml
from minilocal.memory import GPU, estimate
from minilocal.report.document import Part, Picture, Table
from minilocal.reproduce import VIEWS, Plan, Result, load, plan
from minilocal.reproduce.views.configured import number_of_modules
from minilocal.reproduce.views.sensitivity import errors_over
from tests.helpers.made_up_results import errors, made_up

SHORT = {"optim.epochs": 2}


def planned(name: str, scale: str = "tiny", **options: Any) -> Plan:
    return plan(load(name), scale, changes=SHORT, **options)


def shown(view: str, plan: Plan, results: list[Result]) -> tuple[list[Picture], list[Table], list[str]]:
    parts: list[Part] = VIEWS[view](plan, results)
    pictures = [part for part in parts if isinstance(part, Picture)]
    assert all(picture.figure.alt and picture.caption for picture in pictures)
    assert len({picture.name for picture in pictures}) == len(pictures)
    return pictures, [p for p in parts if isinstance(p, Table)], [p for p in parts if isinstance(p, str)]


def lines(picture: Picture) -> dict[str, list[float]]:
    """{name in the legend: its numbers}"""
    (axes,) = picture.figure.axes
    return {str(line.get_label()): np.asarray(line.get_ydata(), float).tolist() for line in axes.lines}


def test_sensitivity_is_the_last_error_over_the_columns():
    asked = planned("backlink-fig4", trials=2)

    def rows(cell, seed):
        s = cell.config.rule.options
        return errors(90, 20 + 10 * abs(s["alpha"] - 0.5) + s["length"] + seed)

    (picture,), (table,), texts = shown("sensitivity", asked, made_up(asked, rows))
    assert lines(picture) == {
        "BackLink, l = 1": [26.5, 24.0, 21.5, 24.0, 26.5], "BackLink, l = 4": [29.5, 27.0, 24.5, 27.0, 29.5]
    }  # fmt: skip
    (axes,) = picture.figure.axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.25", "0.5", "0.75", "1"]
    assert axes.get_xlabel() == "α" and axes.get_title(loc="left") == "ResNet-32 on digits (K = 4)"
    assert table.rows[0]["α = 0.25"] == "24.00 ± 0.71"
    assert texts[-1] == "Least error: BackLink, l = 1: α = 0.5; BackLink, l = 4: α = 0.5."


def test_the_axis_of_columns_without_a_letter_is_named_by_their_key():
    asked = planned("backlink-aux-adapt")
    (picture,), _, texts = shown("sensitivity", asked, made_up(asked, lambda cell, seed: errors(90, 20)))
    (axes,) = picture.figure.axes
    assert (
        axes.get_xlabel() == "auxiliary networks"
        and picture.name == "error-auxiliary-networks-resnet-32-on-digits-k-16"
    )
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0c1f", "1c2f", "2c2f", "aux-adapt"]
    assert not any(text.startswith("Least") for text in texts)  # all are equal


def test_a_row_without_a_column_is_a_level_line_and_bp_is_beside_every_k():
    asked = planned("literal-and-unfolded")
    level = {"bp": 5.0, "gll": 30.0}
    results = made_up(asked, lambda cell, seed: errors(90, level.get(cell.config.rule.name, 12.0)))
    (picture,), _, _ = shown("sensitivity", asked, results)
    numbers = lines(picture)
    assert numbers["BP"] == [5.0] * 4 and numbers["GLL"] == [30.0] * 4
    assert set(numbers) == {"BP", "GLL", "BackLink, literal", "BackLink, unfolded"}


def test_cells_that_are_not_finished_are_gaps_and_trials_are_those_that_all_have():
    asked = planned("backlink-fig4", cells_="*-l1-K4-*", trials=2)
    results = made_up(asked, lambda cell, seed: errors(90, 20 + seed))
    zero, quarter, half, *_ = results
    line = {"α = 0": Result(zero.planned, zero.runs[:1]), "α = 0.25": quarter, "α = 0.5": Result(half.planned)}
    columns = ["α = 0", "α = 0.25", "α = 0.5", "α = 1"]
    np.testing.assert_array_equal(errors_over(line, columns), [[20, 20, np.nan, np.nan]])
    pictures, _, _ = shown("sensitivity", asked, [Result(cell) for cell in asked.taken])
    assert not pictures


def test_bars_are_means_with_deviations():
    asked = planned("fdg-fig4", trials=3)
    results = made_up(asked, lambda cell, seed: errors(90, 8 + 10 * cell.config.rule.options.get("beta", 0) + seed))
    (picture,), (table,), _ = shown("bars", asked, results)
    (axes,) = picture.figure.axes
    patches: Any = axes.patches
    np.testing.assert_allclose([p.get_width() for p in patches], [9, 10, 11, 12, 14, 16, 19])
    names = [text.get_text().replace("\N{NO-BREAK SPACE}", " ") for text in axes.get_yticklabels()]
    assert names[:2] == ["BP", "FDG, β = 0.1"]
    assert list(table.rows[1].values()) == ["FDG, β = 0.1", "10.00 ± 1.00"]
    assert list(table.rows[1]) == ["ResNet-20 on digits (K = 2)", "ours (%)"], "no cell of the figure is printed"
    assert "FDG, β = 0.1 10 ± 1" in picture.figure.alt


def test_curves_and_bars_of_a_printed_table_have_a_column_of_its_errors():
    asked = planned("fdg-table2", cells_="*-resnet56-bp,*-resnet56-fdg-beta1-K2")
    for view in ("curves", "bars"):
        alone = replace(asked, experiment=msgspec.structs.replace(asked.experiment, views=[view]))
        _, tables, _ = shown(view, alone, made_up(asked, lambda cell, seed: errors(50, 20)))
        assert {row["published (%)"] for table in tables for row in table.rows} == {"6.19", "6.20"}


def test_curves_are_the_errors_of_each_epoch():
    asked = planned("fdg-fig3")
    results = made_up(asked, lambda cell, seed: errors(50, 20 if cell.config.rule.name == "bp" else 25))
    (picture,), (table,), _ = shown("curves", asked, results)
    assert lines(picture)["BP"] == [50, 20] and lines(picture)["FDG, β = 0.5"] == [50, 25]
    legend = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert legend == ["BP", "DDG", "FDG, β = 1", "FDG, β = 0.5"]
    assert table.rows[1]["last epoch (%)"] == "25.00"


def test_tables_of_a_view_are_left_out_where_the_table_view_has_them():
    asked = planned("backlink-infopro")
    results = made_up(asked, lambda cell, seed: errors(90, 20))
    pictures, tables, texts = shown("bars", asked, results)
    assert [picture.name for picture in pictures] == ["bars-resnet-32-on-digits-k-4", "bars-resnet-32-on-digits-k-16"]
    assert not tables and not texts


def test_error_over_modules_has_a_line_a_row_bp_level_and_the_printed_errors_beside():
    asked = planned("backlink-table3", trials=2)
    results = made_up(asked, lambda cell, seed: errors(90, 10 + seed + number_of_modules(cell.config)))
    ours, printed = shown("over-modules", asked, results)[0]
    assert [text.get_text() for text in ours.figure.axes[0].get_xticklabels()] == ["2", "4", "8", "16"]
    numbers, published = lines(ours), lines(printed)
    assert numbers["BP"] == [11.5] * 4 and published["BP"] == [6.94] * 4
    assert numbers["GLL"] == [12.5, 14.5, 18.5, 26.5] and published["GLL"] == [7.96, 10.61, 13.61, 14.97]
    np.testing.assert_array_equal(numbers["BackLink, l = 2"], [12.5, 14.5, 18.5, np.nan])
    np.testing.assert_array_equal(published["BackLink, l = 2"], [7.18, 8.67, 10.6, np.nan])
    np.testing.assert_array_equal(numbers["BackLink, l = 1, total error"], [np.nan] * 3 + [26.5])
    assert "BackLink, l = 1, total error" not in published
    assert (ours.figure.axes[0].get_title(loc="left"), printed.figure.axes[0].get_title(loc="left")) == (
        "ResNet-32 on digits", "ResNet-32 on CIFAR-10, printed"
    )  # fmt: skip
    assert "band" in ours.caption and "band" not in printed.caption


def test_error_over_modules_leaves_out_what_has_no_number_and_a_single_k():
    asked = planned("backlink-table3")
    results = made_up(asked, lambda cell, seed: errors(90, 20))
    none = [Result(result.planned) if result.planned.config.rule.name != "gll" else result for result in results]
    ours, printed = shown("over-modules", asked, none)[0]
    assert list(lines(ours)) == list(lines(printed)) == ["GLL"]
    assert not shown("over-modules", asked, [Result(cell) for cell in asked.taken])[0]
    of_four = planned("backlink-table3", cells_="*-K4")
    assert not shown("over-modules", of_four, made_up(of_four, lambda cell, seed: errors(90, 20)))[0]


def test_error_over_modules_keeps_the_papers_data_sets_apart_where_one_set_stands_for_all():
    asked = planned("backlink-table3", cells_="*-gll-*", rows="*")
    results = made_up(asked, lambda cell, seed: errors(90, 20))
    printed = shown("over-modules", asked, results)[0][1::2]
    titles = [picture.figure.axes[0].get_title(loc="left") for picture in printed]
    assert titles == [f"{name}, printed" for name in (
        "ResNet-32 on CIFAR-10", "ResNet-110 on CIFAR-10", "ResNet-110 on STL-10", "ResNet-110 on SVHN"
    )]  # fmt: skip
    assert [lines(picture)["GLL"][0] for picture in printed] == [7.96, 7.45, 20.86, 3.54]


def test_the_tradeoff_has_the_error_the_bytes_and_the_time_of_each_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    from minilocal.parallel.simulate.costs import PartCosts
    from minilocal.parallel.simulate.measure import Measure

    monkeypatch.setattr(Measure, "timed", lambda *_: PartCosts(1.0, 2.0, 1.0, 0.0, 1, 1, 1))
    asked = planned("backlink-fig10", trials=2)
    results = made_up(asked, lambda cell, seed: errors(90, 10 + seed + 5 * (cell.config.rule.name != "bp")))
    (memory, time), (table,), _ = shown("tradeoff", asked, results)
    assert memory.name == "error-memory-resnet-32-on-digits" and time.name == "error-time-resnet-32-on-digits"
    rows = {row["ResNet-32 on digits"]: row for row in table.rows}
    assert rows["BP"]["test error (%)"] == "10.50 ± 0.71" and rows["GLL, K = 16"]["test error (%)"] == "15.50 ± 0.71"
    cost = {name: [float(row[key]) for key in list(row)[2:]] for name, row in rows.items()}
    net = ml.nets.resnet(32, classes=10, channels=1, size=16, rng=ml.rng(0))
    sgd = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    total = estimate(net, ml.rules.bp(), 1, 64, optimizer=sgd, machine=GPU()).total
    assert cost["BP"] == [round(total / 1e6, 1), 100.0]
    assert cost["GLL, K = 16"][0] < cost["BackLink, l = 1, K = 16"][0] < cost["BP"][0]
    assert cost["GLL, K = 16"][1] < cost["GLL, K = 4"][1] < 100
    (axes,) = memory.figure.axes
    containers: Any = axes.containers
    assert containers[0].lines[0].get_xydata()[0].tolist() == [total / 1e6, 10.5]


def test_views_take_images_of_ones_own(tmp_path):
    digits = ml.data.load("digits", limit_train=20, limit_test=10)
    parts = {name: getattr(digits, name) for name in ("train_x", "train_y", "test_x", "test_y")}
    np.savez(tmp_path / "own.npz", **parts)
    own = tmp_path / "own.toml"
    own.write_text(
        f'title = "own"\nviews = ["bars"]\n[recipe]\nnet.name = "mlp"\nrule.name = "gll"\n'
        f'data.name = "npz:{tmp_path}/own.npz"\n[grid]\nnet.modules = [2, 3]\n'
    )
    asked = plan(load(str(own)), "full", changes=SHORT)
    pictures, _, _ = shown("bars", asked, made_up(asked, lambda cell, seed: errors(90, 20)))
    assert [picture.name.rpartition("-k-")[2] for picture in pictures] == ["2", "3"]
    (picture,), _, _ = shown("memory", asked, made_up(asked, lambda cell, seed: []))
    net = ml.nets.mlp(classes=10, channels=1, size=16, rng=ml.rng(0))
    sgd = ml.optim.SGD(momentum=0.9, weight_decay=1e-4)
    totals = [estimate(net, ml.rules.gll(), K, 128, optimizer=sgd, machine=GPU()).total for K in (2, 3)]
    assert list(lines(picture).values()) == [[total / 1e9 for total in totals]]
