"""A run on disk: what was asked, what it ran on, a row for every epoch, and a checkpoint that outlives a kill.

    config.json        the five tables, with every default written out
    environment.json   versions, machine, threads, git commit; and each time that the run was resumed
    metrics.jsonl      one object per epoch, in order; a number that is not finite is null
    checkpoint.npz     the state between two steps: arrays, and one text entry with the counters as JSON
    lock               held with flock by the process that writes

Whole files are written aside, synced and renamed, so a reader finds the old one or the new one. Rows are appended and
synced; a kill can tear the last one, which readers leave out and a resumed run cuts.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import socket
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.errors import UserError
from minilocal.record.files import explained, read_json, written_aside

CONFIG, ENVIRONMENT, METRICS = "config.json", "environment.json", "metrics.jsonl"
CHECKPOINT, LOCK = "checkpoint.npz", "lock"
PROGRESS = "progress.json"  # the checkpoint's text entry; no array has this name


class Folder:
    """One run's folder, locked for writing until `close`; use it in a `with` statement.

    Every method raises UserError when the disk is full, the folder is read-only, or another process holds it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with explained(self.path):
            self._lock = open(self.path / LOCK, "a+b")  # noqa: SIM115 (closed by close)
        try:
            with explained(self.path):
                self._hold()
                for name in (CONFIG, ENVIRONMENT, METRICS, CHECKPOINT):
                    for left in self.path.glob(f"{name}.*.partial"):  # by a process that was killed while it wrote
                        left.unlink()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> Folder:
        """A new run at `path`. An empty folder is taken as it is.

        Raises: UserError when `path` holds a run already, or anything else.
        """
        path = Path(path)
        with explained(path):
            path.mkdir(parents=True, exist_ok=True)
        folder = cls(path)
        try:
            found = {entry.name for entry in path.iterdir()} - {LOCK, ENVIRONMENT}
            if CONFIG in found:
                raise UserError(f"{path} holds a run already: go on with --resume {path}, or choose another --out.")
            if found:
                raise UserError(f"{path} is no run and not empty ({min(found)} is there): choose another --out.")
            folder._write_json(ENVIRONMENT, environment)
            folder._write_json(CONFIG, config)  # last: a folder with a configuration is a run
        except BaseException:
            folder.close()
            raise
        return folder

    @classmethod
    def reopen(cls, path: str | Path, environment: Mapping[str, Any]) -> Folder:
        """An existing run, to go on with. What has changed in the environment is added to its record."""
        config(path)
        folder = cls(path)
        try:
            before = recorded_environment(path)
            changed = {name: value for name, value in environment.items() if before.get(name) != value}
            folder._write_json(ENVIRONMENT, {**before, "resumed": [*before.get("resumed", []), changed]})
        except BaseException:
            folder.close()
            raise
        return folder

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Appends one epoch's row, and returns when it is on the disk."""
        line = json.dumps(_finite(row), allow_nan=False) + "\n"
        with explained(self.path / METRICS), open(self.path / METRICS, "ab") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def cut_rows(self, epochs: int) -> int:
        """Drops the rows after epoch `epochs` and a torn last one; returns how many whole rows were dropped."""
        found = rows(self.path)
        kept = [row for row in found if row["epoch"] <= epochs]
        text = "".join(json.dumps(row) + "\n" for row in kept)
        with written_aside(self.path / METRICS) as file:
            file.write(text.encode())
        return len(found) - len(kept)

    def save(self, arrays: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> None:
        """Replaces the checkpoint; the one before it stays until the new one is complete and on the disk."""
        if objects := [name for name, array in arrays.items() if array.dtype.hasobject]:
            raise TypeError(f"{objects} would be pickled: a checkpoint holds plain arrays.")
        text = json.dumps({"progress": progress, "arrays": list(arrays)})
        entries: dict[str, Any] = {PROGRESS: np.array(text), **arrays}
        with written_aside(self.path / CHECKPOINT) as file:
            np.savez(file, **entries)

    def close(self) -> None:
        self._lock.close()  # and with it the lock

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            holder = self._lock.read().decode(errors="replace") or "another process"
            raise UserError(f"{self.path} is in use by {holder}: wait for it, or choose another --out.") from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        self._lock.flush()

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        with written_aside(self.path / name) as file:
            file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def config(path: str | Path) -> dict[str, Any]:
    """What a run was asked to do: its five tables.

    Raises: UserError when `path` is no run folder, or its configuration is damaged.
    """
    path = Path(path)
    if not (path / CONFIG).is_file():
        raise UserError(f"{path} is no run folder: it has no {CONFIG}.")
    return read_json(path / CONFIG)


def recorded_environment(path: str | Path) -> dict[str, Any]:
    """What produced a run; empty where it was not recorded."""
    file = Path(path) / ENVIRONMENT
    return read_json(file) if file.is_file() else {}


def rows(path: str | Path) -> list[dict[str, Any]]:
    """A run's rows, first epoch first. A last line that a kill has torn is left out.

    Raises: UserError for any other line that is not a row.
    """
    file = Path(path) / METRICS
    if not file.is_file():
        return []
    with explained(file):
        lines = file.read_bytes().split(b"\n")[:-1]  # what follows the last line end is torn, or nothing
    found = []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            int(row["epoch"])
        except (ValueError, KeyError, TypeError):
            text = line[:40].decode(errors="replace")
            raise UserError(f"{file}, line {number}, is not an epoch's row ({text!r}): remove that line.") from None
        found.append(row)
    return found


def checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """A run's last checkpoint, (arrays, progress), or None where it has none yet.

    Raises: UserError when the file is truncated or damaged. Each entry's checksum is verified; nothing is unpickled.
    """
    file = Path(path) / CHECKPOINT
    if not file.exists():
        return None
    try:
        if not zipfile.is_zipfile(file):  # NumPy would take anything else for a pickle, and say so
            raise zipfile.BadZipFile("it is cut short, or was never a checkpoint")
        with np.load(file, allow_pickle=False) as entries:
            told = json.loads(str(entries[PROGRESS][()]))
            return {name: entries[name] for name in told["arrays"]}, told["progress"]  # a list cut short is seen too
    except Exception as error:  # whatever a damaged archive makes its reader raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{file} cannot be read ({reason}): remove it, and --resume starts that run anew.") from None


def _finite(value: Any) -> Any:
    """`value` with null for each number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
