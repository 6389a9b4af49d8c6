"""Grids: words to axes, axes to cells, and the names of cells."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal import UserError
from minilocal.config import from_tables, tables_of
from minilocal.sweep import Cell, axes, expand
from minilocal.sweep.cells import fingerprint
from minilocal.sweep.words import check_once, of_flag, of_seeds, of_settings, values
from tests.helpers.small_run import configuration
from tests.helpers.small_sweep import grid


@pytest.mark.parametrize(
    "text, parts",
    [
        ("0.25,0.5", ["0.25", "0.5"]), ("3,3,2;4", ["3,3,2", "4"]), ("3,3,2;", ["3,3,2"]), ("4", ["4"]),
        ("steps:15,30:0.2; cosine", ["steps:15,30:0.2", "cosine"]),
    ],
)  # fmt: skip
def test_values_are_separated_by_commas_or_by_semicolons_where_there_is_one(text, parts):
    assert values("--flag", text) == parts


@pytest.mark.parametrize("text", ["", "1,", ",1", "1,,2", ";", "3,3,2;;"])
def test_an_empty_value_is_refused(text):
    with pytest.raises(UserError, match="empty value"):
        values("--flag", text)


def test_a_flag_that_is_given_again_adds_values():
    assert [choice.label for choice in of_flag("--modules", ["3,3,2;", "2,4"]).choices] == [[3, 3, 2], 2, 4]
    (axis,) = of_settings(["rule.alpha=0.25", "rule.alpha = 0.5,1"])
    assert axis.name == "rule.alpha" and [choice.label for choice in axis.choices] == [0.25, 0.5, 1]


def test_a_setting_keeps_the_equals_signs_of_its_value():
    (axis,) = of_settings(["rule.boundary=link:length=2,alpha=0.25;closed"])
    assert [choice.label for choice in axis.choices] == ["link:length=2,alpha=0.25", "closed"]


def test_seeds_are_a_range_a_list_or_both():
    for text, seeds in (("0-4", [0, 1, 2, 3, 4]), ("0,3,7", [0, 3, 7]), ("0-1,10", [0, 1, 10])):
        assert [choice.label for choice in of_seeds(text).choices] == seeds
    for text, why in (("3-1", "the grid is empty"), ("x", "write seeds as"), ("-1", "write"), ("0-99999", "at most")):
        with pytest.raises(UserError, match=why):
            of_seeds(text)


def test_a_key_belongs_to_one_flag():
    with pytest.raises(UserError, match=r"run.seed is set by --seed and by --seeds"):
        check_once([of_flag("--seed", ["1"]), of_seeds("0-4")])
    check_once([of_flag("--seed", ["1", "2"]), of_flag("--lr", ["0.1"])])


def test_the_cells_are_the_product_seed_by_seed():
    cells, remarks = expand(grid(rule__alpha=[0.25, 0.5], run__seed=[0, 1]))
    assert [cell.labels for cell in cells] == [
        {"rule.alpha": alpha, "run.seed": seed} for seed in (0, 1) for alpha in (0.25, 0.5)
    ]
    assert [cell.config.rule.options["alpha"] for cell in cells] == [0.25, 0.5, 0.25, 0.5] and not remarks
    assert len({cell.name for cell in cells}) == 4


def test_an_option_is_left_out_for_a_rule_without_it_and_its_cells_become_one():
    cells, remarks = expand(grid(rule__name=["backlink", "gll"], rule__alpha=[0.25, 0.5]))
    assert [(cell.config.rule.name, cell.labels.get("rule.alpha")) for cell in cells] == [
        ("backlink", 0.25), ("backlink", 0.5), ("gll", None),
    ]  # fmt: skip
    assert remarks == ["rule.alpha (test) is left out for gll, which has no such option."]


def test_an_option_that_no_rule_of_the_grid_has_is_refused():
    with pytest.raises(UserError, match=r"rule.alpah.*did you mean 'alpha'"):
        expand(grid(rule__name=["backlink", "gll"], rule__alpah=[0.25, 0.5]))
    with pytest.raises(UserError, match=r"rule.alpha.*gll has no such option"):
        expand(grid(rule__name=["gll", "bp"], rule__alpha=[0.25]))


@pytest.mark.parametrize(
    "several, why",
    [
        ({"optim__lr": []}, "has no value: the grid is empty"), ({"net__modules": [2, 2]}, "the value 2 twice"),
        ({"run__threads": [1, 2]}, "names the machine"), ({"run__processes": [2]}, "a cell is one process"),
        ({"optim__lrr": [1]}, "did you mean 'lr'"), ({"net__name": ["mlp", "mlpp"]}, "did you mean 'mlp'"),
    ],
)  # fmt: skip
def test_a_grid_that_is_not_valid_is_one_line(several, why):
    with pytest.raises(UserError, match=why):
        expand(grid(**several))


def test_one_question_has_one_name_on_any_machine_and_by_any_words():
    one = Cell.of(configuration(None))
    assert Cell.of(configuration(None, run__threads=3, run__out="runs/x", data__dir="/tmp")).name == one.name
    assert Cell.of(configuration(None, rule__alpha=0.5)).name == one.name  # the default
    for change in ({"rule__alpha": 0.25}, {"run__seed": 1}, {"optim__epochs": 3}, {"run__dtype": "float64"}):
        assert Cell.of(configuration(None, **change)).name != one.name


def test_a_name_reads_as_what_it_is():
    changed: dict[str, list[Any]] = {
        "rule.alpha": [0.25],
        "net.modules": [[2, 1]],
        "net.name": ["mlp"],
        "data.name": ["npz:/tmp/mine.npz"],
    }
    ((cell,), _) = expand(axes(changed, "test"))
    assert cell.name.startswith("backlink-alpha0.25-mlp-K2x1-mine-seed0-")


def test_a_cell_survives_its_json():
    ((cell, _), _) = expand(grid(rule__alpha=[0.25, 0.5]))
    again = Cell.from_json(cell.to_json(), "sweep.json")
    assert again == cell and fingerprint(again.config) == fingerprint(from_tables(tables_of(cell.config), ""))
