"""The papers' comparison tables beside what is measured: where they differ, and that a difference is seen."""

from __future__ import annotations

import pytest

import minilocal as ml
from minilocal import published, rules
from minilocal.locality.certificate import measure
from minilocal.locality.comparison import paper_rows
from minilocal.locality.influence import toy_net

NET, SIZES = toy_net(2), (1, 1)
DIFFERENCES = {  # rule: the columns in which the papers' tables say something else of it; elsewhere none
    "dgl": ["local_auxiliary_network", "any_lockings"],
    "dni": ["any_lockings"],
    "ddg": ["feedback_between_modules"],
}


def rows(rule):
    return [line for row in measure(rule, NET, SIZES) for line in paper_rows(row, NET)]


def differing(rule):
    return [words for line in rows(rule) for words in line.differences]


@pytest.mark.parametrize("name", rules.NAMES)
def test_only_known_cells_differ_and_each_says_why(name):
    differences = differing(rules.get(name))
    assert [text.split(": ")[0].split(", ")[1].replace(" ", "_") for text in differences] == DIFFERENCES.get(name, [])
    assert all("; " in text for text in differences)


def test_every_printed_row_finds_its_rule():
    methods = {line["method"] for table in ("backlink_ieee_table1", "fdg_table1") for line in published.table(table)}
    assert methods == {"GLL", "DNI", "DDG", "PredSim", "DGL", "InfoPro", "BackLink", "FDG"}
    by_name = {rules.get(name).name for name in rules.NAMES}
    assert methods <= by_name


def test_asynchronous_dgl_breaks_every_lock_as_printed():
    (line,) = [row for row in rows(rules.dgl(buffer=2)) if row.title.startswith("FDG")]
    assert line.printed["any_lockings"] == line.measured["any_lockings"] == "No" and not line.differences


def test_options_can_make_the_difference():
    assert not [text for text in differing(rules.dgl(aux="cnn")) if "auxiliary" in text]
    (text,) = differing(rules.backlink(length=0))
    assert "feedback between modules: printed 'Yes', here 'No'" in text
    (text,) = differing(rules.infopro(version="contrast"))
    assert "here 'contrast + input-reconstruction loss'" in text


def test_tables_are_read_as_printed_and_an_unknown_one_is_refused():
    assert {"backlink_ieee_table1", "backlink_ieee_table3", "fdg_table1"} <= set(published.NAMES)
    rows = published.table("fdg_table1")
    assert [row["method"] for row in rows] == ["DDG", "DNI", "DGL", "FDG"]
    assert {row["source"] for name in published.NAMES for row in published.table(name)} == set(published.SOURCES)
    with pytest.raises(ml.UserError, match="'fdg_tabel1' is not known; did you mean 'fdg_table1'"):
        published.table("fdg_tabel1")
