"""A page a rule: its options are the rule's own, its row is what locality measures, its errors are the tables'."""

from __future__ import annotations

import csv
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import minilocal as ml
from minilocal import published

ROOT = Path(__file__).parents[1]
RULES = list(ml.rules.NAMES)
LINKED = {"network": "ResNet-32", "method": "BackLink"}
Row = tuple[str, str, dict[str, str]]  # how it begins, the table, and what the table's rows for it have in common
PUBLISHED: dict[str, list[Row]] = {
    "bp": [
        ("BackLink III, ResNet-32", "backlink_ieee_table3", {"network": "ResNet-32", "method": "BP"}),
        ("InfoPro 2, ResNet-32", "infopro_table2", {"network": "ResNet-32", "method": "BP"}),
        ("FDG 2, ResNet-20", "fdg_table2", {"network": "ResNet-20", "method": "BP (re-run)"}),
        ("FDG 2, ResNet-110", "fdg_table2", {"network": "ResNet-110", "method": "BP (re-run)"}),
    ],
    "gll": [
        ("BackLink II, ResNet-32, linear", "backlink_ieee_table2", {"network": "ResNet-32", "method": "GLL"}),
        ("BackLink III, ResNet-32, conv", "backlink_ieee_table3", {"network": "ResNet-32", "method": "GLL"}),
        ("InfoPro 2, ResNet-32, 0c1f", "infopro_table2", {"network": "ResNet-32", "method": "Greedy SL"}),
    ],
    "backlink": [
        ("BackLink II, ResNet-32, linear, l = 1", "backlink_ieee_table2", LINKED | {"l": "1"}),
        ("BackLink II, ResNet-32, linear, l = 4", "backlink_ieee_table2", LINKED | {"l": "4"}),
        ("BackLink III, ResNet-32, conv, l = 1", "backlink_ieee_table3", LINKED | {"l": "1"}),
        ("BackLink III, ResNet-32, conv, l = 2", "backlink_ieee_table3", LINKED | {"l": "2"}),
        ("BackLink III, ResNet-32, conv, l = 3", "backlink_ieee_table3", LINKED | {"l": "3"}),
        ("BackLink III, ResNet-32, conv, l = 4", "backlink_ieee_table3", LINKED | {"l": "4"}),
    ],
    "dgl": [
        ("InfoPro 2, ResNet-32", "infopro_table2", {"network": "ResNet-32", "method": "DGL"}),
        ("PGL 1, ResNet-32, 1Conv-2FC", "pgl_table1", {"network": "ResNet-32", "method": "DGL"}),
    ],
    "infopro": [
        ("InfoPro 2, ResNet-32, softmax", "infopro_table2", {"network": "ResNet-32", "method": "InfoPro (Softmax)"}),
        ("InfoPro 2, ResNet-32, contrast", "infopro_table2", {"network": "ResNet-32", "method": "InfoPro (Contrast)"}),
    ],
    "pgl": [
        (f"PGL 1, ResNet-32, {aux}", "pgl_table1", {"network": "ResNet-32", "method": "PGL", "aux": aux})
        for aux in ("1Conv-2FC", "2Conv-2FC", "AUX-ADAPT")
    ],
    "ddg": [
        ("FDG 2, ResNet-56, quoted there", "fdg_table2", {"network": "ResNet-56", "method": "DDG (quoted)"}),
        ("FDG's code, ResNet-56, on several GPUs", "fdg_repo_readme", {"table": "multi-GPU", "method": "DDG (re-run)"}),
    ],
    "fdg": [
        ("FDG 4, ResNet-56, β = 1", "fdg_table4", {"method": "FDG", "setting": "beta=1"}),
        ("FDG 2, ResNet-110, β = 1", "fdg_table2", {"network": "ResNet-110", "setting": "beta=1"}),
        ("FDG 2, ResNet-110, β = 0.5", "fdg_table2", {"network": "ResNet-110", "setting": "beta=0.5"}),
    ],
}
OURS = {  # page: [how the row begins, the folder of docs/results, the cells of it but for "-K..."]
    "bp": [
        ("ours, digits, ResNet-32", "backlink-table3-tiny", "cifar10-resnet32-bp"),
        ("ours, CIFAR-10, ResNet-32", "backlink-table3-small", "cifar10-resnet32-bp"),
    ],
    "gll": [
        ("ours, digits, ResNet-32, 0c1f", "backlink-table2-tiny", "cifar10-resnet32-gll"),
        ("ours, digits, ResNet-32, 1c2f", "backlink-table3-tiny", "cifar10-resnet32-gll"),
        ("ours, CIFAR-10, ResNet-32, 1c2f", "backlink-table3-small", "cifar10-resnet32-gll"),
    ],
    "backlink": [
        ("ours, digits, ResNet-32, 0c1f, l = 1", "backlink-table2-tiny", "cifar10-resnet32-backlink-l1"),
        ("ours, digits, ResNet-32, 0c1f, l = 4", "backlink-table2-tiny", "cifar10-resnet32-backlink-l4"),
        ("ours, digits, ResNet-32, 1c2f, l = 1", "backlink-table3-tiny", "cifar10-resnet32-backlink-l1"),
        ("ours, digits, ResNet-32, 1c2f, l = 2", "backlink-table3-tiny", "cifar10-resnet32-backlink-l2"),
        ("ours, digits, ResNet-32, 1c2f, l = 3", "backlink-table3-tiny", "cifar10-resnet32-backlink-l3"),
        ("ours, digits, ResNet-32, 1c2f, l = 4", "backlink-table3-tiny", "cifar10-resnet32-backlink-l4"),
        ("ours, CIFAR-10, ResNet-32, 1c2f, l = 1", "backlink-table3-small", "cifar10-resnet32-backlink-l1"),
        ("ours, CIFAR-10, ResNet-32, 1c2f, l = 2", "backlink-table3-small", "cifar10-resnet32-backlink-l2"),
        ("ours, CIFAR-10, ResNet-32, 1c2f, l = 4", "backlink-table3-small", "cifar10-resnet32-backlink-l4"),
    ],
    "dgl": [("ours, digits, ResNet-32, mlp-sr", "infopro-table2-tiny", "cifar10-resnet32-dgl")],
    "pgl": [
        (f"ours, digits, ResNet-32, {aux}", "pgl-table1-tiny", f"cifar10-resnet32-pgl-{aux}")
        for aux in ("1c2f", "2c2f", "aux-adapt")
    ],
    "ddg": [("ours, digits, ResNet-56", "fdg-table2-tiny", "cifar10-resnet56-ddg")],
    "fdg": [("ours, digits, ResNet-56, β = 1", "fdg-table4-tiny", "cifar10-resnet56-fdg-beta1")],
    "infopro": [
        (f"ours, digits, ResNet-32, {version}", "infopro-table2-tiny", f"cifar10-resnet32-infopro-{version}")
        for version in ("softmax", "contrast")
    ],
}


def page(name: str) -> str:
    return (ROOT / "docs" / "rules" / f"{name}.md").read_text("utf-8")


def printed_error(row: dict[str, str], rows: list[dict[str, str]]) -> float:
    """A published number as a test error in %."""
    value = float(row["value"])
    if row["metric"] == "test_accuracy":
        return 100 - value
    if row["metric"] == "error_reduction_vs_gll":
        same = {key: row[key] for key in ("dataset", "network", "aux", "K")} | {"method": "GLL"}
        (gll,) = (float(r["value"]) for r in rows if same.items() <= r.items())
        return gll - value
    return value


def published_errors(table: str, common: dict[str, str]) -> dict[int, float]:
    """{K: the error on CIFAR-10 in %} of the rows that have these words."""
    rows = published.table(table)
    words = {"dataset": "CIFAR-10"} | common
    metrics = {"test_error", "test_accuracy", "error_reduction_vs_gll"}
    chosen = [row for row in rows if words.items() <= row.items() and row["metric"] in metrics]
    errors = {int(row["K"]): printed_error(row, rows) for row in chosen}
    assert len(errors) == len(chosen), f"{table}, {words}: one K has several numbers"
    return errors


def our_errors(folder: str, cell: str) -> dict[int, float]:
    """{K: the error of the last epoch in %} of one kind of cell."""
    with (ROOT / "docs" / "results" / folder / "experiment.csv").open(encoding="utf-8") as file:
        rows = {row["cell"]: row for row in csv.DictReader(file)}
    kind = re.compile(re.escape(cell) + r"(?:-K(\d+))?")
    return {int(m[1] or 1): float(rows[m[0]]["last_error_mean"]) for m in map(kind.fullmatch, rows) if m}


def lines(name: str) -> list[str]:
    """The table of errors, as the page of this rule has it."""
    rows: list[tuple[str, dict[int, float]]] = []
    rows += [(label, published_errors(table, common)) for label, table, common in PUBLISHED.get(name, [])]
    rows += [(label, our_errors(folder, cell)) for label, folder, cell in OURS.get(name, [])]
    columns = sorted({K for _, errors in rows for K in errors})
    head = "| | " + " | ".join(f"K = {K}" for K in columns) + " |"
    body = [
        f"| {label} | " + " | ".join(f"{errors[K]:.2f}" if K in errors else "" for K in columns) + " |"
        for label, errors in rows
    ]
    return [head, "|---" * (len(columns) + 1) + "|", *body] if rows else []


@pytest.mark.parametrize("name", RULES)
def test_each_rule_has_a_page_with_its_errors(name):
    expected = lines(name)
    table = [line for line in page(name).partition("\n## Errors\n")[2].splitlines() if line.startswith("|")]
    assert table == expected


def as_shown(default: Any) -> str:
    return "" if default is None else f"`{default}`"


@pytest.mark.parametrize("name", RULES)
def test_its_options_are_those_of_the_rule_with_their_defaults(name):
    options = re.findall(r"^\| `(\w+)` \|[^|]*\| ([^|]*?) ?\|", page(name).partition("\n## Options\n")[2], re.M)
    parameters = inspect.signature(getattr(ml.rules, name)).parameters.values()
    assert options == [(p.name, as_shown(p.default)) for p in parameters]


@pytest.mark.parametrize("name", RULES)
def test_what_crosses_is_the_row_of_the_page_on_rules(name):
    rows = (ROOT / "docs" / "rules.md").read_text("utf-8").partition("```text\nrule  ")[2].partition("```")[0]
    (block,) = re.findall(r"```text\n(rule .*?)```", page(name), re.S)
    head, *shown = block.splitlines()
    assert head == "rule  " + rows.splitlines()[0]
    assert shown and all(row in rows.splitlines() for row in shown)
    rule = {"bp": "BP", "gll": "GLL"}.get(name, ml.rules.get(name).name)
    assert any(re.match(rf"{rule}[ ,]", row) for row in shown)


@pytest.mark.parametrize("name", RULES)
def test_its_page_is_linked_and_names_its_file(name):
    assert f"rules/{name}.md" in (ROOT / "docs" / "rules.md").read_text("utf-8")
    assert f"../../minilocal/rules/{name}.py" in page(name)
