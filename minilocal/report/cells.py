"""The published errors, one cell each, and the cells that a configuration is of."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from minilocal import published
from minilocal.report.groups import Group, modules

TABLES = (
    "backlink_ieee_table2", "backlink_ieee_table3", "backlink_ieee_table4", "backlink_preprint_table1",
    "backlink_preprint_table2", "infopro_table2", "pgl_table1", "pgl_table2", "fdg_table2", "fdg_table3", "fdg_table4",
    "fdg_repo_readme",
)  # fmt: skip
PAPERS = {
    "backlink-ieee": "BackLink (IEEE)", "backlink-preprint": "BackLink (preprint)", "infopro": "InfoPro", "pgl": "PGL",
    "fdg": "FDG", "fdg-readme": "FDG's code",
}  # fmt: skip
RULES = {
    "BP": "bp", "GLL": "gll", "Greedy SL": "gll", "BackLink": "backlink", "DGL": "dgl", "InfoPro": "infopro",
    "InfoPro (Softmax)": "infopro", "InfoPro (Contrast)": "infopro", "PGL": "pgl", "DDG": "ddg", "FDG": "fdg",
}  # fmt: skip
AUX = {
    "linear": "0c1f", "conv": "1c2f", "1Conv-2FC": "1c2f", "2Conv-2FC": "2c2f", "AUX-ADAPT": "aux-adapt",
    "1Conv-2FC + decoder": "1c2f", "0c1f (GAP + linear)": "0c1f", "1c2f + decoder": "1c2f",
}  # fmt: skip
SETTINGS = {"P": "rule.period", "Q": "rule.duration", "beta": "rule.beta"}
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
        return re.sub(r" \((quoted|re-run)\)$", "", self.row["method"])

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
    result = []
    for name in TABLES:
        rows = [row for row in published.table(name) if row["metric"] in ERRORS]
        gll = {_place(row): row["value"] for row in rows if row["method"] == "GLL"}
        for row in rows:
            if Cell(row, 0).method not in RULES:
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
    s = group.settings
    data, net, rule = _key(str(s["data.name"])), _key(str(s["net.name"])), s["rule.name"]
    once: dict[tuple[str, ...], list[Cell]] = {}
    recipes: dict[tuple[str, ...], str] = {}
    for cell in cells():
        place = (_key(cell.row["dataset"]), _key(cell.row["network"]))
        if rule == RULES[cell.method] and place == (data, net) and _fits(cell, s, modules(group)):
            number = (*cell.identity, f"{cell.error:.2f}")
            recipe = _recipe(cell) or recipes.get(number, "")  # one that is not stated is that of the other print
            recipes.setdefault(number, recipe)
            once.setdefault((*number, recipe), []).append(cell)
    return [replace(first, also=tuple(others)) for first, *others in once.values()]


def _fits(cell: Cell, settings: Mapping[str, Any], K: int) -> bool:
    """Whether K, length, auxiliary networks and settings are those of the cell."""
    row = cell.row
    if cell.method == "BP":
        return True
    if row["K"] != str(K) or (row["l"] and cell.method == "BackLink" and row["l"] != str(settings["rule.length"])):
        return False
    if cell.method == "BackLink" and settings["rule.alpha"] != 0.5:
        return False
    if cell.method == "InfoPro (Contrast)" and settings["rule.version"] != "contrast":
        return False
    if (
        RULES[cell.method] == "infopro"
        and cell.method != "InfoPro (Contrast)"
        and settings["rule.version"] != "softmax"
    ):
        return False
    if "rule.aux" in settings and row["aux"] in AUX and settings["rule.aux"] != AUX[row["aux"]]:
        return False
    printed = dict(part.split("=") for part in row["setting"].split(";") if "=" in part)
    return all(_equal(settings.get(SETTINGS[name]), text) for name, text in printed.items() if name in SETTINGS)


def footnotes(cell: Cell) -> list[str]:
    """What must be said of a cell: its derivation, the table's note, and other prints of the same number."""
    printed = [text for c in (cell, *cell.also) for text in (c.printed, c.row["note"]) if text]
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
    row = cell.row
    for line in published.table("scales"):
        fits = [line[c] in ("", row[c]) or row[c] in line[c].split() for c in ("network", "dataset", "aux")]
        if line["source"] == row["source"] and (all(fits) or (cell.method == "BP" and all(fits[:2]))):
            return line
    return {}


def _recipe(cell: Cell) -> str:
    """The recipe of a cell in a line; "" where it is not stated."""
    return ",".join(scale(cell)[column] for column in ("epochs", "batch", "lr", "trials")) if scale(cell) else ""


def _place(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[c] for c in ("source", "table", "dataset", "network", "aux", "K"))


def _key(name: str) -> str:
    """CIFAR-10 and cifar10 alike; what stands in brackets does not count."""
    return re.sub(r"\(.*?\)|[^a-z0-9]", "", name.lower())


def _equal(value: Any, text: str) -> bool:
    return isinstance(value, int | float) and float(value) == float(text)
