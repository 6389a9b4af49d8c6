"""A sweep from Python, in one call.

    minilocal.sweep.run({"rule.name": "backlink", "rule.alpha": [0.25, 0.5], "run.seed": range(5)}, "sweeps/alpha")

The folder is that of `minilocal sweep`: the command and the call go on with each other's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.errors import UserError, path_of, whole
from minilocal.record.place import as_word
from minilocal.sweep import table
from minilocal.sweep.grid import axes, expand, without_machine
from minilocal.sweep.loop import check_data, drain
from minilocal.sweep.queue import Queue
from minilocal.sweep.watch import Watch, counts
from minilocal.sweep.workers import run_workers, settings
from minilocal.train.stop import Interrupted, stop_on_signal

INSTEAD = {"run.out": "out=", "run.processes": "jobs="}  # arguments that say what these keys would
ONE = (str, bytes, Mapping)  # types of one value


@dataclass(frozen=True, repr=False)
class Sweep:
    """A sweep's folder and its cells. As text, it is a row for each configuration.

    `remarks` are on the grid: options that were left out for some rule.
    """

    queue: Queue
    remarks: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder, as `minilocal.report.build` takes it."""
        return self.queue.path

    def rows(self) -> list[dict[str, Any]]:
        """A row for each configuration: its values, `seeds` that have ended, `test_error` and `std` over them, in %.

        `test_error` is the mean after the last epoch, None without a seed; `std` (of n - 1) is None without two.
        """
        return [
            {**each.values, "seeds": len(each.errors), "test_error": each.mean, "std": each.std}
            for each in table.configurations(self.queue)
        ]

    def __repr__(self) -> str:
        return table.by_configuration(self.queue)


def run(
    values: Mapping[str, Any], out: str | Path, *, jobs: int = 1, on_cell: Callable[[str], object] | None = None
) -> Sweep:
    """Train what is left of a grid of runs in the folder `out`, and return the sweep.

    values     {"table.key": value}, the keys of `minilocal train --show`; a list, tuple, range or array is several
               values, and the grid is the product of all. A cut into modules is a list in a list:
               {"net.modules": [[3, 3, 2]]}
    jobs       processes, which divide the cores; 1 trains in this one
    on_cell    called with a line for each cell that has ended; `print` shows it

    A cell that fails does not stop the others; its line says why, and `rows` has fewer seeds. After a stop (Ctrl-C,
    SIGTERM) the same call goes on.

    Raises: UserError for a grid that is empty or not valid, for data that are not there, and a folder of another sweep.
    """
    record, machine, remarks = _planned(values, path_of("out", out))
    processes, queue = whole("jobs", jobs), record.on(machine)
    check_data(queue)
    record.write()
    watch = Watch(queue)

    def show() -> None:
        for line in watch.update():
            if on_cell is not None:
                on_cell(line)

    with stop_on_signal() as request:
        try:
            if processes == 1:
                drain(queue, request, bar=True, on_change=show)
            else:
                devices = [machine["run.device"]] if "run.device" in machine else []
                words = ["sweep", "--out", as_word(record.path), *settings(machine)]
                remarks += run_workers(words, processes, devices, request, show, int(machine.get("run.threads", 0)))
        except Interrupted as stop:
            state = counts(queue.states())
            raise Interrupted(f"stopped, and saved: {state}. The same call goes on.", stop.number) from None
    return Sweep(record, tuple(remarks))


def _planned(values: Mapping[str, Any], out: Path) -> tuple[Queue, dict[str, Any], list[str]]:
    """The sweep at `out`, the keys of [run] that this machine has, and remarks on the grid."""
    _check_keys(values)
    every = axes({key: _several(value) for key, value in values.items()}, "the grid")
    grid, data, run = without_machine(every, INSTEAD)
    cells, remarks = expand(grid)
    return Queue.open(out, cells).on(data), run, remarks  # the sweep's record keeps the keys of [data]


def _check_keys(values: Any) -> None:
    """Raises: UserError where this is no grid with a key, or one of its keys is no text."""
    if not isinstance(values, Mapping):
        raise UserError(f'the grid is a {type(values).__name__}: give a dict, as {{"rule.name": ["bp", "gll"]}}.')
    if not values:
        raise UserError('the grid is empty: give at least one key, as {"rule.name": ["bp", "gll"]}.')
    if other := [key for key in values if not isinstance(key, str)]:
        raise UserError(f'key {other[0]!r} of the grid is no "table.key": minilocal train --show lists them.')


def _several(value: Any) -> list[Any]:
    """The values of a key: the elements of a list, a tuple, a range or an array; anything else is one value."""
    values = list(value) if isinstance(value, Iterable) and not isinstance(value, ONE) else [value]
    return [each.item() if isinstance(each, np.generic) else each for each in values]
