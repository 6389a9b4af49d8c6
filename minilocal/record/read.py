"""Reading a run folder: nothing is unpickled, and what is damaged is named in one line."""

from __future__ import annotations

import json
import re
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.errors import UserError, check_file, path_of, reason
from minilocal.record.exported import check_no_export
from minilocal.record.files import os_errors_explained, parsed, read_json
from minilocal.record.npz import opened_npz

CONFIG, ENVIRONMENT, METRICS = "config.json", "environment.json", "metrics.jsonl"
CHECKPOINT, PREVIOUS, LOCK = "checkpoint.npz", "checkpoint.previous.npz", "lock"
MARKS = re.compile(r"claim(\.\d+)?|done|failed")  # of a queue of runs: `minilocal.sweep` writes them
PROGRESS = "progress.json"  # the checkpoint's text entry; no array has this name
Checkpoint = tuple[dict[str, np.ndarray], dict[str, Any]]  # (arrays, metadata)


def config(path: str | Path) -> dict[str, Any]:
    """The configuration of a run: its five tables. Of a damaged one its copy in the checkpoint, with a warning.

    Raises: UserError where `path` is no run folder, or neither can be read.
    """
    path = path_of("path", path)
    with os_errors_explained(path):
        is_run = (path / CONFIG).is_file()
    if not is_run:
        check_no_export(path)
        raise UserError(f"{path} is no run folder: it has no {CONFIG}. Give a folder that minilocal train has made.")
    try:
        return read_json(path / CONFIG)
    except UserError as error:
        if (tables := _copy_of_config(path)) is not None:
            warnings.warn(f"{error} Its copy in the checkpoint is used.", stacklevel=2)
            return tables
        raise UserError(
            f"{error} No checkpoint has a copy of it: remove the folder, and start the run again."
        ) from None


def is_intact(file: Path) -> bool:
    """Whether a JSON file can be read."""
    with suppress(UserError):
        return bool(read_json(file))
    return False


def _copy_of_config(path: Path) -> dict[str, Any] | None:
    """The configuration that the last checkpoint that can be read holds."""
    for name in (CHECKPOINT, PREVIOUS):
        with suppress(UserError):
            tables = (read_checkpoint(path / name) or ({}, {}))[1].get("config")
            if isinstance(tables, dict):
                return tables
    return None


def recorded_environment(path: str | Path) -> dict[str, Any]:
    """The environment of a run; empty where it was not recorded.

    Raises: UserError where the record is damaged.
    """
    file = path_of("path", path) / ENVIRONMENT
    return read_json(file) if file.is_file() else {}


def rows(path: str | Path) -> list[dict[str, Any]]:
    """A run's rows, first epoch first. A last line that a kill has torn is left out.

    Raises: UserError for any other line that is not a row.
    """
    file = path_of("path", path) / METRICS
    if not file.is_file():
        return []
    with os_errors_explained(file):
        lines = file.read_bytes().split(b"\n")[:-1]  # after the last line end: a torn row, or nothing
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if type(row["epoch"]) is not int:
                raise TypeError("an epoch is a whole number")
        except (ValueError, KeyError, TypeError, RecursionError):
            text = line[:40].decode(errors="replace")
            raise UserError(f"{file}, line {number}, is not an epoch's row ({text!r}): remove that line.") from None
        rows.append(row)
    return rows


def saved_nothing(path: str | Path) -> bool:
    """Whether `path` holds a run without a checkpoint and without a row, so that a new one may replace it."""
    path = Path(path)
    if not (path / CONFIG).is_file() or any((path / name).exists() for name in (CHECKPOINT, PREVIOUS)):
        return False
    return not (path / METRICS).exists() or (path / METRICS).stat().st_size == 0


def checkpoint(path: str | Path) -> Checkpoint | None:
    """A run's last checkpoint, (arrays, metadata), or None where it has none yet.

    Where the last one is damaged or gone, the one before it, with a warning.

    Raises: UserError where neither can be read. Each entry's checksum is verified; nothing is unpickled.
    """
    last, before = (path_of("path", path) / name for name in (CHECKPOINT, PREVIOUS))
    try:
        result, why = read_checkpoint(last), f"{last} is not there."
    except UserError as error:
        result, why = None, str(error)
        if not before.exists():
            raise UserError(f"{error} Remove it, and --resume starts that run anew.") from None
    if result is None and before.exists():
        try:
            result = read_checkpoint(before)
        except UserError:
            raise UserError(f"{why} Nor can {before}: remove both, and --resume starts that run anew.") from None
        warnings.warn(f"{why} {before.name}, the one before it, is used.", stacklevel=2)
    return result


def read_checkpoint(file: Path) -> Checkpoint | None:
    """The checkpoint in a file of any name, or None where there is no file.

    Raises: UserError where it is truncated or damaged.
    """
    check_file(file)
    with os_errors_explained(file):
        if not file.exists():
            return None
    try:
        with opened_npz(file) as entries:
            header = parsed(str(entries[PROGRESS][()]))
            if not isinstance(header["progress"], dict):
                raise ValueError(f"its {PROGRESS} says nothing of its progress")
            return {name: entries[name] for name in header["arrays"]}, header["progress"]  # a missing array is an error
    except Exception as error:  # zipfile and NumPy raise many kinds for a damaged archive
        raise UserError(f"{file} cannot be read ({reason(error)}).") from None
