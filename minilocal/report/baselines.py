"""The memory of a panel: its groups beside BP, BP with activation checkpointing and BP with gradient accumulation.

These three are no runs. They are estimated for the same network, images, batch, modules and optimiser:

    BP, checkpointed    what enters each module is kept, and its forward repeated
    BP, accumulated     one micro-batch for each module, each with its own batch statistics
    BP, contexts        on the network that a rule with contexts tests, which is larger
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minilocal import boundaries
from minilocal.report.bytes import Memory, key_of
from minilocal.report.document import Table
from minilocal.report.groups import Group, Panel, modules
from minilocal.summary import NetworkSize

TEXT = (
    "Baselines are no runs: BP, BP with activation checkpointing at the same module boundaries, and BP with gradient "
    "accumulation over one micro-batch for each module, all estimated for the same network and batch."
)
AVERAGE = (
    "The average is over a period, (Q · global + (P - Q) · local) / P, as in the PGL paper's Table 2: a machine must "
    "bear the peak."
)
TESTED = (
    "Contexts stay in the network that is tested, so it is larger than the one it was made of: a comparison with BP is "
    "fair on the same network, BP with contexts."
)


@dataclass(frozen=True)
class Estimate:
    """MB of a step, at its peak and on average over a period; `of_bp` is the peak as a part of plain BP's.

    `tested` is the size of the network that is tested.
    """

    name: str
    peak: float
    average: float
    of_bp: float
    is_run: bool
    tested: NetworkSize | None = None  # of the network that is tested


def estimates(panel: Panel, memory: Memory) -> list[Estimate]:
    """The baselines of a panel, then its groups; what cannot be estimated is left out.

    A baseline with the configuration of a group is left out: that group has its number.
    """
    runs = {key_of(group) for group in panel.groups}
    baselines, result = _baselines(panel), dict[str, Estimate]()
    with_a_run = {name for name, group, rule in baselines if key_of(group, rule) in runs}
    for name, group, rule in baselines:
        if name not in with_a_run:
            result.setdefault(name, _estimate(name, group, rule, memory))
    for group in panel.groups:
        result[group.name] = _estimate(group.name, group, None, memory)
    return [estimate for estimate in result.values() if estimate.peak == estimate.peak]


def _estimate(name: str, group: Group, rule: Mapping[str, Any] | None, memory: Memory) -> Estimate:
    period, bp = memory.over_period(group, rule), memory.over_period(group, {"name": "bp"})
    if period is None or bp is None:
        return Estimate(name, *(float("nan"),) * 3, rule is None)
    peak = period.peak.step
    tested = memory.tested(group, rule)
    return Estimate(name, peak / 1e6, period.average() / 1e6, peak / bp.peak.step, rule is None, tested)


def _baselines(panel: Panel) -> list[tuple[str, Group, dict[str, Any]]]:
    """(name, a group of that network and batch, a rule) for each number of modules and each batch size."""
    places: dict[tuple[int, int], Group] = {}
    for group in panel.groups:
        places.setdefault((modules(group), int(group.settings["optim.batch_size"])), group)
    several = [len({place[i] for place in places}) > 1 for i in (0, 1)]
    result: list[tuple[str, Group, dict[str, Any]]] = []
    for (K, images), group in places.items():
        batch = f", batch = {images}" * several[1]
        end = f", K = {K}" * several[0] + batch
        result.append((f"BP{batch} (baseline)", group, {"name": "bp"}))
        if K > 1:
            result.append((f"BP, checkpointed{end} (baseline)", group, {"name": "bp", "keep": "inputs"}))
            result.append((f"BP, accumulated{end} (baseline)", group, {"name": "bp", "accumulate": K}))
    for group in panel.groups:
        context = boundaries.context(str(group.settings.get("rule.context", "none")))
        if context.source != "none" and modules(group) > 1:
            K, images = modules(group), int(group.settings["optim.batch_size"])
            end = f", K = {K}" * several[0] + f", batch = {images}" * several[1]
            result.append((f"BP, contexts {context.mode}{end} (baseline)", group, bp_with(group)))
    return result


def bp_with(group: Group) -> dict[str, Any]:
    """BP on the network that this group tests."""
    return {"name": "bp", "context": group.settings.get("rule.context", "none")}


def memory_table(rows: Sequence[Estimate]) -> Table:
    """A row for each estimate, with the average where it differs from the peak, and the networks where they differ."""
    averages = any(row.average != row.peak for row in rows)
    sizes = len({row.tested for row in rows}) > 1
    return Table(
        [
            {"runs": row.name, "memory (MB)": f"{row.peak:.3g}", "of BP": f"{row.of_bp:.2f}"}
            | ({"average over a period (MB)": f"{row.average:.3g}"} if averages else {})
            | (_tested(row.tested) if sizes else {})
            for row in rows
        ],
        [AVERAGE] * averages + [TESTED] * sizes,
    )


def _tested(size: NetworkSize | None) -> dict[str, str]:
    """The cells of a tested network's size."""
    cells = ("", "") if size is None else (f"{size.parameters:,}", f"{size.multiply_adds:,}")
    return dict(zip(("tested: parameters", "multiply-adds of an image"), cells, strict=True))


def memory_records(panel: Panel, rows: Sequence[Estimate]) -> list[dict[str, object]]:
    """The rows of memory.csv, in full precision."""
    s = panel.groups[0].settings
    return [
        {
            "dataset": s["data.name"], "network": s["net.name"], "runs": row.name, "is_run": row.is_run,
            "estimated_step_mb": row.peak, "average_over_a_period_mb": row.average, "of_bp": row.of_bp,
        }
        for row in rows
    ]  # fmt: skip
