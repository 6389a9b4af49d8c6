"""Test error against what a step costs, in memory and in time: BackLink, Fig. 10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilocal import draw
from minilocal.memory import GPU
from minilocal.parallel.simulate.measure import Table as Costs
from minilocal.report.bytes import estimated
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.buildable import images
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import by_network, file_name, heading, label
from minilocal.reproduce.views.run_time import simulated
from minilocal.reproduce.views.table import ours, scale_text

MEMORY, TIME = "memory of a step (MB)", "time of a step on K devices (% of BP's)"
TEXT = (
    "Memory is the peak of a step in all, estimated for one GPU; time is simulated, one module a device, from units "
    "that are timed on this machine. Both are of the configuration that was trained. Lower left is better."
)


def tradeoff(plan: Plan, results: Sequence[Result], costs: Costs | None = None) -> list[Part]:
    """For each network error against memory and error against time, and a table of all three."""
    parts: list[Part] = [scale_text(plan, results), TEXT]
    costs, machine = Costs() if costs is None else costs, GPU()
    for place, group in by_network(results).items():
        title = heading(place, "")
        memory = {label(r): _megabytes(r, machine) for r in group}
        time = {label(r): t.of_bp for r, t in zip(group, simulated(group, costs), strict=True)}
        for along, cost in ((MEMORY, memory), (TIME, time)):
            points = {label(r): (cost[label(r)], r.mean, r.std) for r in group}
            parts += _scatter(file_name("error", along.partition(" ")[0], title), points, along, title)
        rows = [
            {
                title: label(r),
                "test error (%)": ours(r),
                MEMORY: f"{memory[label(r)]:.1f}",
                TIME: f"{time[label(r)]:.1f}",
            }
            for r in group
        ]
        parts.append(Table(rows))
    return parts


def _scatter(name: str, points: Mapping[str, tuple[float, float, float]], along: str, title: str) -> list[Part]:
    """The figure, where there are two points with an error."""
    shown = {rule: point for rule, point in points.items() if np.isfinite(point[1])}
    if len(shown) < 2:
        return []
    figure = draw.scatter(shown, label="test error (%)", along=along, title=title)
    return [Picture(name, at_page_size(figure), "Test error after the last epoch against cost. Bars: ± one deviation.")]


def _megabytes(result: Result, machine: GPU) -> float:
    config = result.planned.config
    return estimated(config, images(config), machine).total / 1e6
