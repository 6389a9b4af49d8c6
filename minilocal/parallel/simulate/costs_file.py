"""A table of measured costs as a JSON file: later simulations of the same network measure nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from minilocal import record
from minilocal.errors import UserError, real
from minilocal.parallel.simulate.costs import PartCosts
from minilocal.parallel.simulate.measure import Table
from minilocal.record.files import read_json


@contextmanager
def kept_in(path: Path | None) -> Iterator[Table]:
    """A table read from `path`, if it is there, and written back at the end where it has grown, also after an error."""
    table = load(path) if path is not None and path.exists() else {}
    size = len(table)
    try:
        yield table
    finally:
        if path is not None and len(table) > size:
            save(table, path)


def save(table: Table, path: Path) -> None:
    """Write a table as JSON, with the environment that it was measured in."""
    document = {"environment": record.current_environment(), "parts": {key: asdict(c) for key, c in table.items()}}
    with record.atomic_write(path) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False).encode())


def load(path: Path) -> Table:
    """A table that `save` wrote.

    Raises: UserError where the file cannot be read, or holds something else.
    """
    parts = read_json(path).get("parts")
    if not isinstance(parts, dict):
        raise UserError(f'{path} has no "parts": it is no file of costs. minilocal simulate --costs FILE writes one.')
    return {key: _part(path, key, numbers) for key, numbers in parts.items()}


def _part(path: Path, key: str, numbers: Any) -> PartCosts:
    known = [f.name for f in fields(PartCosts)]
    if not isinstance(numbers, dict) or sorted(numbers) != sorted(known):
        raise UserError(f"{path}: {key!r} needs the numbers {', '.join(known)}.")
    for name, value in numbers.items():
        real(f"{path}: {name} of {key!r} =", value, 0, float("inf"), "[)", why="seconds or bytes, 0 or more")
    return PartCosts(**numbers)
