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
    times = {int(line["K"]): line["relative_time"] for line in published.table("fdg_table4")}
    return f"{times[row.modules]} %" if row.modules in times else ""


def findings(net: str, rows: Sequence[Row]) -> list[str]:
    """What the papers say of these rows in sentences, and what the simulation says."""
    if net != BACKLINK_NET:
        return []
    local = [row for row in rows if row.rule.objective.is_local and not row.rule.when.guided]
    gll = {(r.modules, r.devices): r for r in local if not r.rule.boundary.uses_input_error}
    linked = [row for row in local if row.rule.boundary.linked_units(1) > 0 and not row.rule.boundary.passes_on]
    if not gll or not linked:
        return []
    printed = "; ".join(
        f"{line['method']} on {line['devices']}s at most {line['at_most']} % {line['in_percent']} ({line['where']})"
        for line in published.table("backlink_ieee_run_time")
    )
    over = [row.of_bp / gll[at].of_bp - 1 for row in linked if (at := (row.modules, row.devices)) in gll]
    simulated = [
        f"GLL at most {100 * (1 - min(row.of_bp for row in gll.values())):.0f} % less than BP",
        f"BackLink at most {100 * (1 - min(row.of_bp for row in linked)):.0f} % less than BP",
        *([f"{100 * min(over):.0f} to {100 * max(over):.0f} % more than GLL"] if over else []),
    ]
    return [f"The BackLink paper, run time: {printed}.", f"Simulated: {', '.join(simulated)}."]
