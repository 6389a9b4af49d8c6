"""Test errors at a point: as the papers print them, and ours, from the tables of `minilocal reproduce`."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from minilocal import rules
from minilocal.errors import UserError, printable
from minilocal.published.keys import DATA, DATASETS, MODULES, NET, RULE
from minilocal.record.files import read_text
from minilocal.report.cells import Cell, fitting, footnotes, gll_beside, has
from minilocal.reproduce.cells import cells
from minilocal.reproduce.experiment import load

FILE = "experiment.csv"
OTHER_CUT = ("infopro", "pgl")  # papers whose modules of ResNet-110 are larger at the top


@dataclass(frozen=True)
class Result:
    """A row of an experiment's table: what was trained, its error in percent, and in what it is smaller."""

    keys: Mapping[str, Any]
    row: dict[str, Any]


def published(settings: Mapping[str, Any], K: int) -> list[dict[str, Any]]:
    """The printed errors of a configuration, data set by data set, with GLL's beside them."""
    rows = []
    for name in DATASETS.values():
        for cell in fitting({**settings, DATA: name}, K):
            gll = gll_beside(cell)
            rows.append(
                {
                    "data": cell.row["dataset"],
                    "error": round(cell.error, 2),
                    "title": cell.title,
                    "gll": None if gll is None else round(gll.error, 2),
                    "notes": _notes(cell, settings),
                }
            )
    return rows


def _notes(cell: Cell, settings: Mapping[str, Any]) -> list[str]:
    other = cell.row["source"] in OTHER_CUT and settings[NET] == "resnet110" and cell.method != "BP"
    return [*footnotes(cell), *["modules cut as InfoPro cuts them, larger ones at the top"] * other]


def results(folder: Path | None) -> list[Result]:
    """The rows of every experiment.csv in the folders of this folder, where the experiment is a printed table: other
    experiments vary what is no setting here, as the learning rate. None without a folder.

    Raises: UserError for a folder that has none, and for a table that `minilocal report --brief` did not write.
    """
    if folder is None:
        return []
    files = sorted(folder.glob(f"*/{FILE}"))
    if not files:
        raise UserError(
            f"--results {folder} has no */{FILE}: minilocal report FOLDER --brief --format csv --out "
            f"{folder}/NAME writes one from a folder of minilocal reproduce."
        )
    return [result for file in files for result in _read(file)]


def _read(file: Path) -> list[Result]:
    text = read_text(file)
    try:
        rows = list(csv.DictReader(text.splitlines()))
        printed = [row for row in rows if load(row["experiment"]).published is not None]
        return [Result(_cells(row["experiment"])[row["cell"]], _shown(row)) for row in printed]
    except (csv.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:  # a short row has None
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"{file} is no table of an experiment ({why}). Write it again, or move it away.") from None


@cache
def _cells(experiment: str) -> dict[str, Mapping[str, Any]]:
    """{name: keys} of the cells of an experiment."""
    return {cell.name: cell.keys for cell in cells(load(experiment))}


def _shown(row: Mapping[str, str]) -> dict[str, Any]:
    std = float(row["last_error_std"]) if row["last_error_std"] else None
    return {
        "error": round(float(row["last_error_mean"]), 2),
        "std": None if std is None else round(std, 2),
        "trials": int(row["trials"]),
        "experiment": printable(f"{row['experiment']}, scale {row['scale']}"),
        "scale": printable(row["deviations"]),
    }


def ours(every: Sequence[Result], settings: Mapping[str, Any], K: int) -> list[dict[str, Any]]:
    """Our errors of a configuration. An option that a cell does not name has its default; `keep` changes no weight."""
    known = {key: value for key, value in settings.items() if key != "rule.keep"} | {MODULES: K}
    if settings[RULE] == "bp":
        del known[MODULES]
    rows = []
    for result in every:
        options = {f"rule.{name}": value for name, value in rules.options(result.keys[RULE]).items()}
        if has({**options, **result.keys}, known):
            rows.append(result.row)
    return rows
