"""A sweep's folder: `sweep.json` with its cells, and a folder for each of them. The folders are the queue."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minilocal import record
from minilocal.config import Config, check, flatten, resolve, tables_of
from minilocal.errors import UserError, check_file, shown
from minilocal.ops.kinds import checked_kind
from minilocal.record.files import os_errors_explained, read_json
from minilocal.sweep.cells import Cell, fingerprint
from minilocal.sweep.state import State, forget_failure, state

FILE, FORMAT = "sweep.json", 1


@dataclasses.dataclass(frozen=True)
class Queue:
    """The cells of the sweep in the folder `path`, and what its record says `about` it, as its experiment."""

    path: Path
    cells: list[Cell]
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, cells: Sequence[Cell]) -> Queue:
        """The sweep of these cells at `path`: a new one, the one that is there, or that one with more cells.

        Nothing is written. Cells that are there keep the names of their folders.

        Raises: UserError where `path` holds another sweep, or something else.
        """
        if not cells:
            raise UserError("the grid is empty: it has no cell.")
        names = {cell.name for cell in cells}
        with os_errors_explained(path):
            entries = {entry.name for entry in path.iterdir()} if path.exists() else set()
        if FILE not in entries:
            if others := [name for name in entries - names if not name.endswith(".partial")]:
                raise UserError(f"{path} is no sweep and not empty ({min(others)} is there): choose another --out.")
            return cls(path, list(cells))
        recorded = cls.read(path)
        before = {fingerprint(cell.config): cell.name for cell in recorded.cells}
        now = {fingerprint(cell.config): cell for cell in cells}
        if missing := [name for key, name in before.items() if key not in now]:
            raise UserError(
                f"{path} holds another sweep: {len(missing)} of its {len(before)} cells are not in this grid, as "
                f"{missing[0]}. Choose another --out, or give --out {path} alone to go on with it."
            )
        named = [dataclasses.replace(cell, name=before.get(key, cell.name)) for key, cell in now.items()]
        return cls(path, named, recorded.about)

    @classmethod
    def read(cls, path: Path) -> Queue:
        """The sweep that is recorded at `path`.

        Raises: UserError where there is none, or its record is damaged or of another version.
        """
        file = path / FILE
        with os_errors_explained(path):
            if not file.is_file():
                raise UserError(
                    f"{path} is no sweep: it has no {FILE}. Give the folder of one, or values for a new one."
                )
        content = read_json(file)
        if content.get("format") != FORMAT:
            raise UserError(
                f"{file} is of another version of minilocal: its format is {shown(content.get('format'))}, not "
                f"{FORMAT}."
            )
        cells = content.get("cells")
        if not isinstance(cells, list):
            raise UserError(f"{file} is damaged: it has no list of cells.")
        about = {key: value for key, value in content.items() if key not in ("format", "cells")}
        return cls(path, [Cell.from_json(entry, str(file)) for entry in cells], about)

    def write(self) -> None:
        """Record the cells in the folder, which is created. Raises: UserError where it cannot be written."""
        content = {"format": FORMAT, **self.about, "cells": [cell.to_json() for cell in self.cells]}
        text = json.dumps(content, indent=1)
        record.make_folders(self.path)
        check_file(self.path / FILE)
        with os_errors_explained(self.path):
            if (self.path / FILE).exists() and (self.path / FILE).read_text("utf-8") == text:
                return
        with record.atomic_write(self.path / FILE) as file:
            file.write(text.encode())

    def on(self, machine: Mapping[str, Any]) -> Queue:
        """The same cells with these keys of the machine, {"run.threads": 1}.

        Raises: UserError for a wrong value, and for kernels that this machine lacks.
        """
        if not machine:
            return self
        cells = [dataclasses.replace(cell, config=_changed(cell.config, machine)) for cell in self.cells]
        checked_kind(machine.get("run.kernels", "numpy"), "run.kernels")
        return Queue(self.path, cells, self.about)

    def forget_failures(self) -> None:
        """Leave the cells that failed to be trained again. Raises: UserError where a folder cannot be written."""
        for cell in self.cells:
            forget_failure(self.folder(cell))

    def folder(self, cell: Cell) -> Path:
        """The run folder of a cell."""
        return self.path / cell.name

    def states(self) -> list[State]:
        """The state of each cell, read from the folders."""
        return [state(self.folder(cell)) for cell in self.cells]


def _changed(config: Config, machine: Mapping[str, Any]) -> Config:
    tables = [("the sweep", flatten(tables_of(config), "the sweep")), ("this machine", dict(machine))]
    return check(resolve(tables)[0])
