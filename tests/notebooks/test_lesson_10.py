"""Lesson 10: the source that it shows, and that what it says of its runs is what they gave."""

from __future__ import annotations

import csv
import inspect
import math
import re

import pytest

import minilocal as ml
from minilocal.data.batches import training_batches
from tests.helpers.lessons import ROOT, printed, row

NAME = "10_cifar10"


@pytest.mark.parametrize("thing", [ml.ops.sgd, training_batches], ids=lambda thing: thing.__name__)
def test_the_source_that_it_shows_is_the_source_that_is_there(thing):
    assert inspect.getsource(thing).strip() in printed(NAME), f"execute {NAME} again: {thing.__name__} has changed"


def test_the_recipe_that_it_shows_is_the_preset(capsys):
    from minilocal.cli import main

    assert main(["train", "--preset", "backlink-conv", "--modules", "16", "--show"]) == 0
    assert capsys.readouterr().out.strip() in printed(NAME)


def test_its_stored_outputs_are_of_the_digits_on_a_cpu():
    text = printed(NAME)
    assert "device: cpu\ndata:   <DataSet digits: " in text and "no GPU: the comparison with it is skipped" in text


def test_numbers_of_docs_results_are_those_of_docs_results():
    """The column of ours at scale tiny is written into the lesson, which a student may have without docs/."""
    with open(ROOT / "docs" / "results" / "backlink-table3-tiny" / "experiment.csv", encoding="utf-8") as file:
        ours = {line["cell"]: float(line["last_error_mean"]) for line in csv.DictReader(file)}
    table = printed(NAME).split("PUBLISHED, CIFAR-10")[1]
    rows = [("BP", "bp", 6.94), ("GLL", "gll-K16", 14.97), ("BackLink, l = 1", "backlink-l1-K16", 12.4)]
    for name, cell, published in rows:
        assert row(table, name)[:2] == [published, round(ours[f"cifar10-resnet32-{cell}"], 2)]


def test_what_it_says_of_its_runs_is_what_they_gave():
    runs = printed(NAME).split("mean, and least to largest of 3 seeds")[1].split("PUBLISHED")[0]
    seeds = row(runs, "GLL - BackLink, seed by seed")
    assert len(seeds) == 3 and min(seeds) > 0  # BackLink is below GLL with each of the three seeds,
    bp, gll, backlink = (row(runs, name)[0] for name in ("BP", "GLL", "BackLink, l = 1"))
    assert bp < backlink < gll  # and BP is below both


def test_its_three_columns_have_one_order():
    table = printed(NAME).split("PUBLISHED")[1]
    columns = zip(*(row(table, name)[:3] for name in ("BP", "BackLink, l = 1", "GLL")), strict=True)
    assert all(list(column) == sorted(column) for column in columns)


def test_what_it_says_of_float32_is_what_was_measured():
    ((half, furthest),) = re.findall(r"half within (\S+), all within (\S+)", printed(NAME))
    assert 5 <= -math.log10(float(furthest)) <= -math.log10(float(half)) <= 6  # five to six digits


def test_how_many_standard_errors_a_difference_is():
    differences = re.findall(r"^(published|this page): .* difference (\S+) ± (\S+)$", printed(NAME), re.M)
    published, ours = (float(difference) / float(error) for _, difference, error in differences)
    assert 5 <= published < 6 and 2 < ours < 3
