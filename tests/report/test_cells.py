"""Ours beside published: every cell is read as printed, and a run meets the cells of its own configuration only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minilocal import published
from minilocal.report.cells import TABLES, Cell, cells, footnotes, matching, scale
from minilocal.report.compare import Comparison, comparisons
from minilocal.report.groups import Group, panels
from minilocal.report.runs import read
from tests.helpers.written_run import write_run

PAPER: dict[str, Any] = {
    "net__name": "resnet32", "net__modules": 4, "data__name": "cifar10", "optim__batch_size": 512, "optim__lr": 0.5,
}  # fmt: skip
LINEAR: dict[str, Any] = {"rule__aux": "0c1f"}
CONV: dict[str, Any] = {"rule__aux": "1c2f"}


def groups(folder: Path, *runs: dict[str, Any]) -> list[Group]:
    """The groups of runs with these keys; `error` is the last of each."""
    for n, run in enumerate(runs):
        keys = {**PAPER, **run}
        write_run(folder / str(n), [50.0, keys.pop("error", 15.0)], **keys)
    parts, _ = panels([read(folder / str(n)) for n in range(len(runs))])
    return [group for panel in parts for group in panel.groups]


def printed(folder: Path, **run: Any) -> dict[str, float]:
    """{title: error} of the cells that a run is of."""
    (group,) = groups(folder, run)
    return {cell.title: round(cell.error, 6) for cell in matching(group)}


def test_every_published_error_is_a_cell_with_its_source():
    assert {cell.row["source"] for cell in cells()} == {
        "backlink-ieee", "backlink-preprint", "infopro", "pgl", "fdg", "fdg-readme"
    }  # fmt: skip
    of_ieee = [c for c in cells() if c.row["source"] == "backlink-ieee"]
    tables = ("backlink_ieee_table2", "backlink_ieee_table3", "backlink_ieee_table4")
    assert len(of_ieee) == sum(len(published.table(name)) for name in tables) and len(TABLES) == 13
    assert all(0 < cell.error < 100 for cell in cells())


def test_a_printed_gain_is_taken_from_gll_s_error():
    (cell,) = [
        c for c in cells()
        if [c.row[k] for k in ("table", "network", "dataset", "aux", "method", "K", "l")]
        == ["II", "ResNet-32", "CIFAR-10", "linear", "BackLink", "4", "4"]
    ]  # fmt: skip
    assert cell.error == pytest.approx(15.02 - 4.35)
    assert footnotes(cell) == [
        "GLL's 15.02 less the printed gain of 4.35", "BackLink (preprint), Table 1 has 10.63 for the same runs"
    ]  # fmt: skip


def test_gll_with_linear_and_with_conv_heads_are_different_cells(tmp_path):
    linear = printed(tmp_path / "a", rule__name="gll", **LINEAR)
    assert linear == {"GLL in BackLink (IEEE), Table II and BackLink (preprint), Table 1": 15.02} | {
        "Greedy SL in InfoPro, Table 2": 16.07
    }
    conv = printed(tmp_path / "b", rule__name="gll", **CONV)
    assert conv == {"GLL in BackLink (IEEE), Table III and BackLink (preprint), Table 2": 10.61}


def test_backlink_s_cell_is_of_its_length_alpha_and_k(tmp_path):
    link: dict[str, Any] = {"rule__name": "backlink", **LINEAR}
    title = "BackLink in BackLink (IEEE), Table II and BackLink (preprint), Table 1"
    assert printed(tmp_path / "a", **link, rule__length=2) == {title: 12.92}
    assert not printed(tmp_path / "b", **link, rule__length=2, rule__alpha=0.25)
    assert not printed(tmp_path / "c", **link, rule__length=2, net__modules=3)
    assert not printed(tmp_path / "d", **link, rule__length=2, data__name="digits")
    assert not printed(tmp_path / "e", **link, rule__length=2, net__name="resnet20")


def test_the_long_tailed_data_set_is_the_paper_s(tmp_path):
    assert set(printed(tmp_path, rule__name="gll", data__name="cifar10-lt", **LINEAR).values()) == {25.16}


def test_bp_meets_every_print_of_its_network_whatever_the_table_and_k(tmp_path):
    bp = printed(tmp_path / "a", rule__name="bp")
    assert sorted(bp.values()) == pytest.approx([6.6, 6.94, 6.97, 7.37, 7.51])


def test_a_printed_setting_and_a_version_are_the_run_s(tmp_path):
    fdg: dict[str, Any] = {"rule__name": "fdg", "net__name": "resnet56"}
    assert set(printed(tmp_path / "a", **fdg, rule__beta=0.3).values()) == {6.14}
    assert set(printed(tmp_path / "b", **fdg, rule__beta=1.0).values()) == {6.83}
    pgl = printed(tmp_path / "c", rule__name="pgl", rule__aux="aux-adapt")
    assert set(pgl) == {"PGL in PGL, Table 1", "PGL in PGL, Table 2"} or len(pgl) == 1
    assert not printed(tmp_path / "d", rule__name="pgl", rule__aux="aux-adapt", rule__period=5)
    contrast = printed(tmp_path / "e", rule__name="infopro", rule__version="contrast", **CONV)
    assert set(contrast) == {"InfoPro (Contrast) in InfoPro, Table 2"}


def test_the_papers_own_inconsistencies_are_footnotes():
    (bp,) = [c for c in cells() if c.place == "BackLink (IEEE), Table II" and c.method == "BP" and c.error == 7.51]
    assert footnotes(bp) == ["BackLink (IEEE), Table III and BackLink (preprint), Table 2 have 6.94 for the same runs"]
    negative = [c for c in cells() if c.row["metric"] == "error_reduction_vs_gll" and float(c.row["value"]) < 0]
    own = [c for c in negative if c.method == "BackLink"]
    assert len(own) == 2 and all(any("worse than GLL, against" in n for n in footnotes(c)) for c in own)
    dgl = [c for c in cells() if c.row["table"] == "III" and c.method == "DGL"]
    assert len(dgl) == 16 and all(any("InfoPro Table 2" in n for n in footnotes(c)) for c in dgl)


def test_other_papers_numbers_are_no_inconsistency():
    (cell,) = [c for c in cells() if c.row["source"] == "infopro" and c.method == "BP" and c.error == 7.37]
    assert footnotes(cell) == ["std 0.10 over 5 trials"]


def of(folder: Path, *runs: dict[str, Any]) -> Comparison:
    """The first comparison of the last run."""
    compared = comparisons(groups(folder, *runs))
    return next(c for c in compared if c.group.name == compared[-1].group.name)


@pytest.mark.parametrize(("error", "size"), [(15.5, "near"), (14.0, "off"), (17.03, "far"), (None, "")])
def test_a_difference_has_a_size(tmp_path, error, size):
    c = of(tmp_path, {"rule__name": "gll", **LINEAR, "error": error})
    assert c.size == size and (error is None or c.difference == pytest.approx(error - 15.02))


def test_two_standard_deviations_are_near(tmp_path):
    seeds = [{"rule__name": "gll", **LINEAR, "run__seed": s, "error": e} for s, e in enumerate((15.0, 17.0))]
    c = of(tmp_path, *seeds)
    assert c.std == pytest.approx(np.sqrt(2)) and c.difference == pytest.approx(0.98) and c.size == "near"


def test_the_scale_says_each_difference_and_full_where_there_is_none(tmp_path):
    gll: dict[str, Any] = {"rule__name": "gll", **LINEAR}
    small = of(tmp_path / "a", {**gll, "data__limit_train": 500, "optim__lr": 0.1, "optim__batch_size": 64})
    assert small.scale == "2 of 200 epochs; 500 training images; 1 of 5 seeds; batch 64, not 512; lr 0.1, not 0.5"
    for seed in range(5):
        path = write_run(tmp_path / "full" / str(seed), [15.0] * 200, **PAPER, **gll, run__seed=seed, optim__epochs=200)
        assert path.is_dir()
    ((panel,), _) = panels([read(path) for path in (tmp_path / "full").iterdir()])
    assert comparisons(panel.groups)[0].scale == "full"


def test_the_scale_names_another_cut_and_another_reading_of_the_rule(tmp_path):
    link: dict[str, Any] = {"rule__name": "backlink", "rule__length": 1, **LINEAR}
    c = of(tmp_path / "a", {**link, "net__modules": [3, 4, 4, 5], "rule__error": "total"})
    assert "modules of 3, 4, 4, 5 units" in c.scale and "error = total" in c.scale
    assert "unfinished" in of(tmp_path / "b", {**link, "optim__epochs": 3}).scale


def test_the_gain_over_gll_is_of_runs_that_differ_in_the_rule_only(tmp_path):
    gll: dict[str, Any] = {"rule__name": "gll", **LINEAR, "error": 20.0}
    link: dict[str, Any] = {"rule__name": "backlink", "rule__length": 2, **LINEAR}
    c = of(tmp_path / "a", gll, {**link, "error": 17.0})
    assert [c.gain, c.published_gain] == pytest.approx([3.0, 2.10])
    other = of(tmp_path / "b", {**gll, "optim__lr": 0.3}, {**link, "error": 17.0})
    assert np.isnan(other.gain) and other.published_gain == pytest.approx(2.10)
    conv = of(tmp_path / "c", {**gll, **CONV}, {**link, "error": 17.0})
    assert np.isnan(conv.gain)


def test_the_recipe_of_every_cell_is_known_where_its_paper_states_it():
    def place(c: Cell) -> tuple[str, str, str]:
        return c.place, c.row["dataset"], c.row["network"] if c.row["source"] == "infopro" else ""

    assert {place(c) for c in cells() if not scale(c)} == {
        ("BackLink (IEEE), Table IV", "CIFAR-10-LT (ratio 1.3)", ""), ("BackLink (preprint), Table 2", "CIFAR-10", ""),
        ("InfoPro, Table 2", "CIFAR-10", "DenseNet-BC-100-12"),
    }  # fmt: skip
