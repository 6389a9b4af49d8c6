"""Tables of a sweep, from its folders: one row a cell, and one row for all seeds of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any, NamedTuple

from minilocal.errors import printable
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
        row = [cell.name, *(_text(cell.labels.get(key)) for key in keys)]
        if states:
            word, epochs, note = states[i]
            row += [word if word != LEFT or not epochs else "stopped", f"{epochs}/{cell.config.optim.epochs}", note]
        rows.append(row)
    return f"{aligned(rows)}\n{counts(states) if states else f'{len(queue.cells)} cells'}"


def by_configuration(queue: Queue) -> str:
    """A row for each configuration: test error after the last epoch, mean ± sample standard deviation over seeds."""
    groups = configurations(queue)
    rows = [[*map(_short, groups[0].values), "seeds", "test error (%)"]]
    for each in groups:
        number = str(len(each.errors)) if len(each.errors) == each.cells else f"{len(each.errors)} of {each.cells}"
        error = "-" if each.mean is None else f"{each.mean:.2f}"
        deviation = "" if each.std is None else f" ± {each.std:.2f}"
        rows.append([*map(_text, each.values.values()), number, error + deviation])
    return aligned(rows)


class Configuration(NamedTuple):
    """All seeds of one configuration: its values of the keys that vary, and the last errors of the seeds that ended.

    A value is None where the rule has no such option.
    """

    values: dict[str, Any]
    errors: list[float]
    cells: int

    @property
    def mean(self) -> float | None:
        """The mean error, in percent; None without a seed."""
        return mean(self.errors) if self.errors else None

    @property
    def std(self) -> float | None:
        """The sample standard deviation (of n - 1); None without two seeds."""
        return stdev(self.errors) if len(self.errors) > 1 else None


def configurations(queue: Queue) -> list[Configuration]:
    """The configurations of a sweep, in the order of its cells."""
    keys = [key for key in _keys(queue.cells) if key != SEED]
    groups: dict[str, list[Cell]] = {}
    for cell in queue.cells:
        groups.setdefault(repr([cell.labels.get(key) for key in keys]), []).append(cell)
    return [
        Configuration(
            {key: cells[0].labels.get(key) for key in keys},
            [error for cell in cells if (error := last_error(queue, cell)) is not None],
            len(cells),
        )
        for cells in groups.values()
    ]


def _keys(cells: Sequence[Cell]) -> list[str]:
    return list(dict.fromkeys(key for cell in cells for key in cell.labels))


def _short(key: str) -> str:
    """rule.alpha as alpha, rule.name as rule."""
    table, _, name = printable(key).rpartition(".")
    return table if name == "name" else name


def _text(value: Any) -> str:
    """A value as text; - where a rule has no such option."""
    if value is None:
        return "-"
    return printable(",".join(map(str, value)) if isinstance(value, list) else value)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines of text, in columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
