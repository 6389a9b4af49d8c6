"""Tables of a sweep, from its folders: one row a cell, and one row for all seeds of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from minilocal.sweep.cells import Cell
from minilocal.sweep.grid import SEED
from minilocal.sweep.queue import Queue
from minilocal.sweep.state import LEFT, State
from minilocal.sweep.watch import counts, last_error


def by_cell(queue: Queue, states: Sequence[State] | None = None) -> str:
    """A row for each cell: its folder and values; with `states`, its state, epochs and a note. Then their number."""
    keys = _keys(queue.cells)
    rows = [["folder", *map(_short, keys), *(["state", "epochs", ""] if states else [])]]
    for i, cell in enumerate(queue.cells):
        row = [cell.name, *(_value(cell, key) for key in keys)]
        if states:
            word, epochs, note = states[i]
            row += [word if word != LEFT or not epochs else "stopped", f"{epochs}/{cell.config.optim.epochs}", note]
        rows.append(row)
    return f"{_aligned(rows)}\n{counts(states) if states else f'{len(queue.cells)} cells'}"


def by_configuration(queue: Queue) -> str:
    """A row for each configuration: test error after the last epoch, mean ± sample standard deviation over seeds."""
    keys = [key for key in _keys(queue.cells) if key != SEED]
    groups: dict[str, list[Cell]] = {}
    for cell in queue.cells:
        groups.setdefault(repr([_value(cell, key) for key in keys]), []).append(cell)
    rows = [[*map(_short, keys), "seeds", "test error (%)"]]
    for cells in groups.values():
        errors = [error for cell in cells if (error := last_error(queue, cell)) is not None]
        number = str(len(errors)) if len(errors) == len(cells) else f"{len(errors)} of {len(cells)}"
        rows.append([*(_value(cells[0], key) for key in keys), number, _mean_and_deviation(errors)])
    return _aligned(rows)


def _mean_and_deviation(errors: Sequence[float]) -> str:
    if not errors:
        return "-"
    return f"{mean(errors):.2f}" + (f" ± {stdev(errors):.2f}" if len(errors) > 1 else "")


def _keys(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(key for cell in cells for key in cell.labels))


def _short(key: str) -> str:
    """rule.alpha as alpha, rule.name as rule."""
    table, _, name = key.rpartition(".")
    return table if name == "name" else name


def _value(cell: Cell, key: str) -> str:
    """The value of a key in a cell; - where its rule has no such option."""
    value: Any = cell.labels.get(key)
    if value is None:
        return "-"
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
