"""The training recipes that the papers state, `recipes.csv`, by the rows of their tables. An empty word: not stated."""

from __future__ import annotations

from collections.abc import Mapping

from minilocal import published

COLUMNS = ("network", "dataset", "aux", "K")


def recipe(row: Mapping[str, str]) -> published.Row:
    """The recipe of a row of a table of errors; {} where its paper states none. The first line that fits counts."""
    lines = (line for line in published.table("recipes") if line["source"] == row["source"])
    return next((line for line in lines if all(_fits(line[column], row[column]) for column in COLUMNS)), {})


def _fits(stated: str, word: str) -> bool:
    return stated in ("", word) or word in stated.split()
