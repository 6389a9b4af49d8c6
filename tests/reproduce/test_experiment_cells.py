"""Cells of the papers' tables: names, configurations, what is left out, and agreement with the presets."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal import published
from minilocal.cli.train import preset_source, presets
from minilocal.config import flatten, resolve, tables_of
from minilocal.errors import UserError
from minilocal.published.keys import keys_of
from minilocal.report.cells import ERRORS, of_table
from minilocal.reproduce import NAMES, SCALES, ExperimentCell, cells, load, plan
from minilocal.reproduce.cells import not_offered
from minilocal.reproduce.experiment import parse
from minilocal.reproduce.recipe import SCHEDULES
from minilocal.split import infopro

TABLES = {name: load(name).published for name in NAMES if load(name).published is not None}


def the_cell(experiment: str, name: str) -> ExperimentCell:
    return next(cell for cell in cells(load(experiment)) if cell.name == name)


def keys(cell: ExperimentCell) -> dict[str, Any]:
    return flatten(tables_of(resolve(cell.sources)[0]), "test")


def test_every_printed_table_of_errors_is_an_experiment():
    errors = {name for name in published.NAMES if any(row.get("metric") in ERRORS for row in published.table(name))}
    assert set(TABLES.values()) == errors - {"fdg_repo_readme"}, "that page has later numbers of the same tables"


@pytest.mark.parametrize("name", TABLES)
def test_every_printed_error_is_of_a_cell_or_named_as_not_offered(name):
    table = TABLES[name]
    assert table is not None
    rows = [row for row in published.table(table) if row["metric"] in ERRORS]
    every = cells(load(name))
    shown = [print_ for cell in every for print_ in (cell.published, *cell.also) if print_ is not None]
    assert len(shown) == sum(keys_of(row) is not None for row in rows)
    assert {id(print_.row) for print_ in shown} <= {id(print_.row) for print_ in of_table(table)}
    lacking = {f"{row['dataset']}, {row['network']}, {row['method']}" for row in rows if keys_of(row) is None}
    assert set(not_offered(load(name))) == lacking
    assert len({cell.name for cell in every}) == len(every)


def test_names_and_words_are_the_papers():
    cell = the_cell("backlink-table3", "cifar10-resnet32-backlink-l1-K16")
    assert (cell.row, cell.column, cell.row_name) == (
        "CIFAR-10, ResNet-32, BackLink, l = 1", "K = 16", "cifar10-resnet32-backlink-l1"
    )  # fmt: skip
    assert cell.published is not None and cell.published.error == pytest.approx(14.97 - 2.57)
    assert the_cell("pgl-table3", "cifar10-resnet32-pgl-Q2-P15").column == "P = 15"
    assert the_cell("pgl-table3", "cifar10-resnet32-dgl").column == ""
    bp = the_cell("fdg-table2", "cifar10-resnet56-bp")
    assert bp.published is not None and bp.published.error == 6.19
    assert [print_.row["method"] for print_ in bp.also] == ["BP (quoted)"]


OF_PRESETS = {
    "backlink-linear": ("backlink-table2", "cifar10-resnet32-backlink-l1-K4"),
    "backlink-conv": ("backlink-table3", "cifar10-resnet32-backlink-l1-K4"),
    "pgl": ("pgl-table1", "cifar10-resnet32-pgl-aux-adapt-K16"),
    "fdg": ("fdg-table4", "cifar10-resnet56-fdg-beta0.3-K4"),
    "fdg-resnet56": ("fdg-table2", "cifar10-resnet56-fdg-beta0.5-K2"),
    "fdg-resnet110": ("fdg-table2", "cifar10-resnet110-fdg-beta0.5-K2"),
    "fdg-wrn28-10": ("fdg-table2", "cifar10-wrn28-10-fdg-beta0.7-K2"),
    "infopro-contrast": ("infopro-table2", "cifar10-resnet32-infopro-contrast-K4"),
}
OF_OTHER_RECIPES = {  # of public code beside the tables
    "ddg", "dgl-auglocal", "dgl-resnet110", "dni", "infopro-softmax", "infopro-star", "predsim-adam",
    "predsim-auglocal", "hpff",
}  # fmt: skip


@pytest.mark.parametrize("preset", OF_PRESETS)
def test_at_full_scale_a_cell_is_its_preset_key_by_key(preset):
    experiment, name = OF_PRESETS[preset]
    of_preset = flatten(tables_of(resolve([preset_source(preset)])[0]), "test")
    assert keys(the_cell(experiment, name)) == of_preset
    (planned,) = plan(load(experiment), "full", cells_=name).taken
    assert flatten(tables_of(planned.config), "test") == of_preset


def test_every_preset_has_a_cell_or_another_recipe():
    assert set(presets()) == set(OF_PRESETS) | OF_OTHER_RECIPES


@pytest.mark.parametrize("name", TABLES)
def test_every_table_has_cells_at_every_scale_and_all_of_them_at_full(name):
    experiment = load(name)
    for scale in SCALES:
        planned = plan(experiment, scale)
        assert planned.taken and not planned.remarks
    assert planned.scale == "full" and len(planned.taken) == len(planned.cells)


def test_a_recipe_is_the_papers_and_what_is_chosen_gives_way_to_it():
    k = keys(the_cell("backlink-table3", "stl10-resnet110-gll-K4"))
    assert (k["optim.lr"], k["optim.batch_size"], k["optim.epochs"], k["optim.weight_decay"]) == (0.5, 128, 200, 1e-4)
    assert keys(the_cell("backlink-table2", "cifar10-resnet110-bp"))["optim.lr"] == 0.3
    assert keys(the_cell("backlink-table3", "cifar10-resnet110-bp"))["optim.lr"] == 0.5, "as its table's other rows"
    alexnet, resnet = (
        keys(the_cell("backlink-preprint-table1", f"cifar10-{net}-gll-K4")) for net in ("alexnet", "resnet32")
    )
    assert (alexnet["optim.weight_decay"], alexnet["optim.epochs"]) == (1e-4, 100), "not stated, chosen"
    assert (resnet["optim.weight_decay"], resnet["optim.epochs"]) == (5e-4, 200), "stated"


def test_fdg_warms_up_where_its_paper_says_so():
    def holds(experiment: str, name: str) -> bool:
        return str(keys(the_cell(experiment, name))["optim.schedule"]).startswith("hold:3:0.01+")

    assert holds("fdg-table2", "cifar10-resnet110-fdg-beta1-K2") and holds(
        "fdg-table4", "cifar10-resnet56-fdg-beta1-K3"
    )
    assert not holds("fdg-table2", "cifar10-resnet110-bp") and not holds("fdg-table4", "cifar10-resnet56-fdg-beta1-K2")


def test_pgl_and_infopro_are_cut_as_infopro_cuts():
    for experiment, name in (("pgl-table1", "pgl-1c2f"), ("infopro-table2", "infopro-contrast")):
        assert keys(the_cell(experiment, f"cifar10-resnet110-{name}-K8"))["net.modules"] == "infopro:8"
    assert infopro(110, 8)[0] < infopro(110, 8)[-1]
    assert keys(the_cell("infopro-table2", "svhn-resnet110-infopro-softmax-K8"))["rule.lambdas"] == "resnet110-svhn"


def test_every_schedule_of_the_recipes_has_a_form_here():
    stated = {row["schedule"] for row in published.table("recipes")} - {""}
    assert stated == set(SCHEDULES)


OWN = """
title = "α on the digits"
[recipe]
net.name = "resnet8"
data.name = "digits"
rule.name = "backlink"
[grid]
rule.alpha = [0.25, 0.5]
net.modules = [2, 4]
"""


def test_a_grid_is_the_product_of_its_rows_and_values():
    own = cells(parse(OWN, "own"))
    assert [cell.name for cell in own] == [
        f"digits-resnet8-backlink-alpha{alpha}-K{K}" for alpha in (0.25, 0.5) for K in (2, 4)
    ]
    assert own[0].row == "digits, resnet8, BackLink, α = 0.25" and own[0].published is None
    rows = '[[rows]]\nname = "own error"\n[[rows]]\nname = "total error"\nrule.error = "total"\n'
    named = cells(parse(OWN + rows, "own"))
    assert named[0].name == "digits-resnet8-own-error-alpha0.25-K2" and len(named) == 8
    assert keys(named[-1])["rule.error"] == "total"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("title = 1", "experiment own: title: expected `str`, got `int`."),
        ('titel = "a"', "experiment own: key 'titel' is not known; did you mean 'title'?"),
        ('views = ["table"]', "experiment own: object missing required field `title`."),
        ('title = "a"\nvews = ["table"]', "experiment own: key 'vews' is not known; did you mean 'views'?"),
        ('title = "a"\n[scale.tiny]\ntrails = 2', "scale.tiny: key 'trails' is not known; did you mean 'trials'?"),
        ('title = "a"\n[scale.huge]\ntrials = 2', "scale: key 'huge' is not known"),
        ('title = "a"\n[recipe]\noptm.lr = 2', "recipe: key 'optm' is not known; did you mean 'optim'?"),
        ('title = "a"\nviews = ["costs"]', 'the view "costs" stands beside a published table: name it, published ='),
        ('title = "a"\nbaseline = "gl"', "experiment own: baseline: rule 'gl' is not known; did you mean 'pgl'?"),
        ('title = "a"\npublished = "backlink"', "experiment own: published table 'backlink' is not known"),
        ('title = "a"\npaper = "backlnk-ieee"', "did you mean 'backlink-ieee'?"),
        ("title = ", "experiment own is not TOML: "),
    ],
)
def test_a_file_that_is_not_valid_is_one_line(text, line):
    with pytest.raises(UserError) as caught:
        parse(text, "own")
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_keys_and_grids_are_refused_with_their_place():
    with pytest.raises(UserError, match=r"experiment own, \[recipe\]: key 'optim.lrr' is not known; did you mean"):
        plan(parse(OWN.replace("[grid]", "optim.lrr = 1\n[grid]"), "own"), "tiny")
    with pytest.raises(UserError, match=r"\[grid\] rule.alpha = 0.5: give a list of values"):
        cells(parse(OWN.replace("[0.25, 0.5]", "0.5"), "own"))
    with pytest.raises(UserError, match="has no cell: give it a published table, a grid or rows"):
        cells(parse('title = "a"', "own"))
    with pytest.raises(UserError, match=r"two cells are called digits-resnet8-a-alpha0\.25-K2: give their rows"):
        cells(parse(OWN + '[[rows]]\nname = "a"\n' * 2, "own"))
