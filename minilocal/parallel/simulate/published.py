"""Run times as the papers print them, beside simulated ones.

FDG paper, Table 4            ResNet-56 in K = 2, 3, 4 modules: time in percent of BP's
BackLink paper (IEEE)         ResNet-110 with conv heads, Fig. 9: the figure has no numbers, the text has limits
"""

from __future__ import annotations

from collections.abc import Sequence

from minilocal import published
from minilocal.parallel.simulate.table import Row

FDG_NET, BACKLINK_NET = "resnet56", "resnet110"


def beside(net: str, row: Row) -> str:
    """The published time of a row in percent of BP's, as "60.64 %"; "" where none is printed."""
    decoupled = min(row.rule.boundary.lags) > 0 and row.rule.when.first == "backward"  # FDG, Algorithm I
    if net != FDG_NET or not decoupled or row.devices != row.modules:
        return ""
    printed = [line for line in published.table("fdg_table4") if line["metric"] == "relative_time"]
    times = {int(line["K"]): line["value"] for line in printed}
    return f"{times[row.modules]} %" if row.modules in times else ""


def findings(net: str, rows: Sequence[Row]) -> list[str]:
    """What the papers say of these rows in sentences, and what the simulation says."""
    if net != BACKLINK_NET:
        return []
    local = [row for row in rows if row.rule.objective.is_local and not row.rule.when.guided]
    gll = {(r.modules, r.devices): r for r in local if not r.rule.boundary.uses_input_error}
    linked = [r for r in local if r.rule.boundary.linked_units(1) and (r.modules, r.devices) in gll]
    if not linked:
        return []
    lines = ["The BackLink paper, Fig. 9, ResNet-110 with conv heads:"]
    for row in published.table("backlink_ieee_run_time"):
        remark = f" ({row['remark']})" if row["remark"] else ""
        lines.append(f"  {row['method']} on {row['devices']}s: at most {row['percent']} % {row['compared']}{remark}")
    lines.append("Simulated:")
    for name, chosen in (("GLL", list(gll.values())), ("BackLink", linked)):
        best = min(chosen, key=lambda row: row.of_bp)
        lines.append(f"  {name}: at most {100 * (1 - best.of_bp):.0f} % less than BP (K = {best.modules})")
    for label in dict.fromkeys(row.label for row in linked):
        over = [
            f"{100 * (row.of_bp / gll[row.modules, row.devices].of_bp - 1):.0f} % at K = {row.modules}"
            for row in linked
            if row.label == label
        ]
        lines.append(f"  {label}: more than GLL by {', '.join(over)}")
    return lines
