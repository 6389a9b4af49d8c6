"""The published errors, one cell each, and the cells that a configuration is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from minilocal import published
from minilocal.published.keys import METHODS, MODULES, keys_of, method_of
from minilocal.published.recipes import recipe
from minilocal.report.groups import Group, modules

TABLES = (
    "backlink_ieee_table2", "backlink_ieee_table3", "backlink_ieee_table4", "backlink_preprint_table1",
    "backlink_preprint_table2", "infopro_table2", "pgl_table1", "pgl_table2", "pgl_table3", "fdg_table2", "fdg_table3",
    "fdg_table4", "fdg_repo_readme",
)  # fmt: skip
PAPERS = {
    "backlink-ieee": "BackLink (IEEE)", "backlink-preprint": "BackLink (preprint)", "infopro": "InfoPro", "pgl": "PGL",
    "fdg": "FDG", "fdg-readme": "FDG's code",
}  # fmt: skip
ERRORS = ("test_error", "test_accuracy", "error_reduction_vs_gll")
SAME = 0.005  # points by which two prints of one number may differ


@dataclass(frozen=True)
class Cell:
    """A published test error in percent, with the columns of its row."""

    row: Mapping[str, str] = field(hash=False)
    error: float
    printed: str = ""  # how the error follows from the print, where it is not printed itself
    also: tuple[Cell, ...] = ()  # the same number of the same paper, printed in other places

    @property
    def method(self) -> str:
        """As printed, without "(quoted)" and "(re-run)"."""
        return method_of(self.row)

    @cached_property
    def keys(self) -> Mapping[str, Any] | None:
        """The keys of a configuration that the row names; None where it cannot be trained."""
        return keys_of(self.row)

    @property
    def title(self) -> str:
        """`Greedy SL in InfoPro, Table 2`, with every place where the number is printed."""
        return f"{self.row['method']} in {' and '.join(cell.place for cell in (self, *self.also))}"

    @property
    def place(self) -> str:
        """`InfoPro, Table 2`"""
        table = self.row["table"]
        return f"{PAPERS[self.row['source']]}, {'Table ' * (not table.startswith('K='))}{table}"

    @property
    def identity(self) -> tuple[str, ...]:
        """What two prints of the same number share; BP has no auxiliary networks, whatever its table."""
        r = self.row
        aux = "" if self.method == "BP" else r["aux"]
        kind = r["method"] if self.method != r["method"] else self.method
        paper = r["source"].partition("-")[0]
        return (paper, r["dataset"], r["network"], aux, kind, r["K"], r["l"], r["setting"])


@cache
def cells() -> tuple[Cell, ...]:
    """Every published error, table by table."""
    return tuple(cell for name in TABLES for cell in of_table(name))


@cache
def of_table(name: str) -> tuple[Cell, ...]:
    """The errors of one published table, in the printed order; those of methods without a rule are left out."""
    rows = [row for row in published.table(name) if row["metric"] in ERRORS]
    gll = {_place(row): row["value"] for row in rows if row["method"] == "GLL"}
    result = []
    for row in rows:
        if method_of(row) not in METHODS:
            continue
        value = float(row["value"])
        if row["metric"] == "test_error":
            result.append(Cell(row, value))
        elif row["metric"] == "test_accuracy":
            result.append(Cell(row, 100 - value, f"printed as an accuracy of {row['value']} %"))
        else:
            base = gll[_place(row)]
            result.append(Cell(row, float(base) - value, f"GLL's {base} less the printed gain of {row['value']}"))
    return tuple(result)


def matching(group: Group) -> list[Cell]:
    """The cells with the group's rule, network, data set, K, length, auxiliary networks and printed settings.

    A number that a paper prints in several places, with one recipe, is one cell.
    """
    return fitting(group.settings, modules(group))


def fitting(settings: Mapping[str, Any], K: int) -> list[Cell]:
    """As `matching`, for the settings of a configuration, {"table.key": value}, with K modules."""
    once: dict[tuple[str, ...], list[Cell]] = {}
    recipes: dict[tuple[str, ...], str] = {}
    for cell in cells():
        if cell.keys is not None and has({**settings, MODULES: K}, cell.keys):
            number = (*cell.identity, f"{cell.error:.2f}")
            stated = _recipe(cell) or recipes.get(number, "")  # one that is not stated is that of the other print
            recipes.setdefault(number, stated)
            once.setdefault((*number, stated), []).append(cell)
    return [replace(first, also=tuple(others)) for first, *others in once.values()]


def has(settings: Mapping[str, Any], keys: Mapping[str, Any]) -> bool:
    """Whether the settings have each of the keys with its value."""
    return all(settings.get(key) == value for key, value in keys.items())


def footnotes(cell: Cell, *, derived: bool = True) -> list[str]:
    """What must be said of a cell: how it is `derived`, the table's note, and other prints of the same number."""
    printed = [text for c in (cell, *cell.also) for text in (c.printed * derived, c.row["note"]) if text]
    notes, others = list(dict.fromkeys(printed)), dict[float, list[str]]()
    for other in cells():
        if other.identity == cell.identity and abs(other.error - cell.error) > SAME:
            others.setdefault(round(other.error, 2), []).append(other.place)
    for error, places in others.items():
        notes.append(f"{' and '.join(places)} {'has' if len(places) == 1 else 'have'} {error:.2f} for the same runs")
    if cell.row["metric"] == "error_reduction_vs_gll" and cell.method == "BackLink" and float(cell.row["value"]) < 0:
        notes.append("worse than GLL, against the paper's text: better in all cases")
    return notes


def gll_beside(cell: Cell) -> Cell | None:
    """GLL's cell of the same table, network, data set, auxiliary networks and K; None for GLL, BP and where none is."""
    if cell.method in ("GLL", "BP"):
        return None
    return next((c for c in cells() if c.method == "GLL" and _place(c.row) == _place(cell.row)), None)


def scale(cell: Cell) -> Mapping[str, str]:
    """The paper's own epochs, batch, rate and trials, as text; {} where they are not stated."""
    return recipe(cell.row)


def _recipe(cell: Cell) -> str:
    """The recipe of a cell in a line; "" where it is not stated."""
    return ",".join(scale(cell)[column] for column in ("epochs", "batch", "lr")) if scale(cell) else ""


def _place(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[c] for c in ("source", "table", "dataset", "network", "aux", "K"))
