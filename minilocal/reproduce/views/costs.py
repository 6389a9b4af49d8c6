"""What the table prints besides errors: parameters, memory, time. Ours are of the paper's own size at every scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from minilocal import memory, published
from minilocal.config import Config
from minilocal.published.keys import DATA, MODULES, NET, keys_of, network_of, words_of
from minilocal.report.bytes import IMAGES, estimated_period, learner_for
from minilocal.report.document import Part, Table
from minilocal.reproduce.naming import part
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result

Ours = Callable[[Config], str]


def costs(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each metric that the table prints besides errors, its rows and columns, `ours | published`."""
    assert plan.experiment.published is not None
    rows, parts = published.table(plan.experiment.published), list[Part]()
    for metric, (title, ours) in METRICS.items():
        printed = [row for row in rows if row["metric"] == metric]
        table = _table(printed, results, ours)
        if table is not None:
            parts += [title, table]
    return parts


def _table(printed: Sequence[published.Row], results: Sequence[Result], ours: Ours) -> Table | None:
    """A row for each method or network; None where the plan has none of them."""
    notes: dict[str, int] = {}
    cells: dict[str, dict[str, str]] = {}
    for row in printed:
        keys = keys_of(row) or network_of(row)
        result = next((r for r in results if _has(r, keys)), None)
        if result is None:
            continue
        mark = f" [{notes.setdefault(row['note'], len(notes) + 1)}]" if row["note"] else ""
        column = part(MODULES, keys.get(MODULES, 1))[1]
        cells.setdefault(_words(keys), {})[column] = " | ".join(
            filter(None, [ours(result.planned.full), f"{row['value']}{mark}"])
        )
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    lines = [{"method": name, **dict.fromkeys(columns, ""), **row} for name, row in cells.items()]
    return Table(lines, [f"[{number}] {note}." for note, number in notes.items()]) if lines else None


def _has(result: Result, keys: Mapping[str, Any]) -> bool:
    return all(result.cell.keys.get(key) == value for key, value in keys.items())


def _words(keys: Mapping[str, Any]) -> str:
    """`ResNet-32, PGL, 2c2f, P = 10, Q = 2`"""
    rest = [part(key, value)[1] for key, value in keys.items() if key not in (DATA, NET, MODULES)]
    return ", ".join([words_of(NET, keys[NET]), *rest])


def _parameters(config: Config) -> str:
    """Millions of the network's parameters and its auxiliary networks'."""
    learner = learner_for(config, IMAGES[config.data.name], _gpu().library)
    return f"{sum(array.size for array in learner.parameters().values()) / 1e6:.2f}"


def _memory(config: Config) -> str:
    """GB of a step on a GPU, averaged over epochs; where they differ, at its peak too."""
    over = estimated_period(config, IMAGES[config.data.name], _gpu())
    average, peak = over.average("total") / 1e9, over.peak.total / 1e9
    return f"{average:.2f}" + (f" (peak {peak:.2f})" if over.share not in (0, 1) else "")


@cache
def _gpu() -> memory.GPU:
    """One machine for all estimates: it remembers what kernels allocate."""
    return memory.GPU()


METRICS: dict[str, tuple[str, Ours]] = {
    "parameters": ("Parameters in millions, with auxiliary networks: ours | published.", _parameters),
    "gpu_memory_average": (
        "GB of a step on a GPU, averaged over the epochs: ours, estimated, with everything that is held | published.",
        _memory,
    ),
    "relative_time": (
        "Time of an epoch on K GPUs in percent of BP's, as published.",
        lambda config: "",
    ),
}
