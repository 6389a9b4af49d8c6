"""A run on disk: configuration, environment, a row for every epoch, and a checkpoint that survives a kill.

    config.json              the five tables, with every default written out
    environment.json         versions, machine, threads, kernels, git commit, data; each time that the run was resumed
    metrics.jsonl            one object per epoch, in order; a number that is not finite is null
    checkpoint.npz           the state between two steps: arrays, and one text entry with the counters as JSON
    checkpoint.previous.npz  the checkpoint before it, for when the last one is damaged
    lock                     present while a process writes, and locked by it
    claim, failed, done      marks of a queue of runs, beside which a new run may start

Whole files are written under a temporary name, synced and renamed, so a reader finds the old one or the new one. Rows
are appended and synced. A kill can tear the last row; readers leave it out, and a resumed run removes it.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.errors import UserError, check_file, path_of
from minilocal.record.files import atomic_write, os_errors_explained, sync_folder
from minilocal.record.lock import Lock
from minilocal.record.place import check_free, make_folders, remove_empty
from minilocal.record.read import (
    CHECKPOINT,
    CONFIG,
    ENVIRONMENT,
    LOCK,
    METRICS,
    PREVIOUS,
    PROGRESS,
    Checkpoint,
    checkpoint,
    config,
    is_intact,
    read_checkpoint,
    recorded_environment,
    rows,
)

FILES = (CONFIG, ENVIRONMENT, METRICS, CHECKPOINT, PREVIOUS)


class RunFolder:
    """One run's folder, locked for writing until `close`; use it in a `with` statement.

    Every method raises UserError when the disk is full, the folder is read-only, or another process holds it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path_of("path", path)
        self._config: Mapping[str, Any] | None = None  # as it was written or read last
        self._has_rows = (self.path / METRICS).exists()
        with os_errors_explained(self.path):
            self._lock = Lock(self.path / LOCK)
        try:
            with os_errors_explained(self.path):
                for name in FILES:
                    for partial in self.path.glob(f"{name}.*.partial"):  # of a process that was killed while writing
                        partial.unlink()
        except BaseException:
            self.close()
            raise

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any], environment: Mapping[str, Any]) -> RunFolder:
        """A new run at `path`, which may be an empty folder or a run that has saved nothing.

        Raises: UserError where `path` holds anything else; then nothing in it has changed.
        """
        check_free(path)
        path = Path(path)
        created = make_folders(path)
        try:
            folder = cls(path)
            try:
                check_free(path)  # again, now that no other process can write
                with os_errors_explained(path):
                    (path / METRICS).unlink(missing_ok=True)  # it has no rows
                folder._has_rows = False
                folder._write_json(ENVIRONMENT, environment)
                folder.configure(config)  # last: a folder with a configuration is a run
            except BaseException:
                folder.close()
                raise
        except BaseException:
            remove_empty(created)  # another process may have put something there
            raise
        return folder

    @classmethod
    def reopen(cls, path: str | Path, environment: Mapping[str, Any]) -> RunFolder:
        """An existing run, to be continued. Changes of the environment are added to its record."""
        config(path)
        folder = cls(path)
        try:
            folder._config = config(path)  # again, now that no other process can write
            if not is_intact(Path(path) / CONFIG):
                folder.configure(folder._config)
            try:
                before = recorded_environment(path)
            except UserError as error:
                warnings.warn(f"{error} The record of the environment starts anew.", stacklevel=2)
                before = {}
            resumed = before.get("resumed", [])
            changed = {name: value for name, value in environment.items() if before.get(name) != value}
            times = [*(resumed if isinstance(resumed, list) else [resumed]), changed]
            folder._write_json(ENVIRONMENT, {**before, "resumed": times})
        except BaseException:
            folder.close()
            raise
        return folder

    def configure(self, config: Mapping[str, Any]) -> None:
        """Replace the configuration."""
        self._write_json(CONFIG, config)
        self._config = config

    def checkpoint(self) -> Checkpoint | None:
        """As `checkpoint` of this path. A damaged or missing last one is replaced by the one before it."""
        with suppress(UserError):
            if (last := read_checkpoint(self.path / CHECKPOINT)) is not None:
                return last
        if (previous := checkpoint(self.path)) is not None:
            with os_errors_explained(self.path / CHECKPOINT):
                os.replace(self.path / PREVIOUS, self.path / CHECKPOINT)
        return previous

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Append one epoch's row, and return when it is on the disk."""
        self._put_back()
        line = json.dumps(_finite(row), allow_nan=False) + "\n"
        if self._has_rows and not (self.path / METRICS).exists():
            warnings.warn(
                f"{self.path / METRICS} was removed: its rows before epoch {row['epoch']} are lost.", stacklevel=2
            )
        self._has_rows = True
        metrics = self.path / METRICS
        check_file(metrics)
        is_new = not metrics.exists()
        with os_errors_explained(metrics), open(metrics, "ab", opener=_not_through_links) as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
            if is_new:  # without its name in the folder the file is nowhere
                sync_folder(self.path)

    def truncate_rows(self, epochs: int) -> list[int]:
        """Remove the rows after epoch `epochs` and a torn last one; return the epochs up to there without a row."""
        complete = [row for row in rows(self.path) if row["epoch"] <= epochs]
        text = "".join(json.dumps(row) + "\n" for row in complete)
        with atomic_write(self.path / METRICS) as file:
            file.write(text.encode())
        return sorted(set(range(1, epochs + 1)) - {row["epoch"] for row in complete})

    def save(self, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
        """Replace the checkpoint. The one before it stays under its own name until the next save."""
        if objects := [name for name, array in arrays.items() if array.dtype.hasobject]:
            raise TypeError(f"{objects} would be pickled: a checkpoint holds plain arrays.")
        self._put_back()
        text = json.dumps({"progress": metadata, "arrays": list(arrays)})
        entries: dict[str, Any] = {PROGRESS: np.array(text), **arrays}
        with self._keeping_previous(), atomic_write(self.path / CHECKPOINT) as file:
            np.savez(file, **entries)

    def close(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @contextmanager
    def _keeping_previous(self) -> Iterator[None]:
        """Keep the checkpoint that the block replaces under PREVIOUS, where the file system has hard links."""
        temporary = self.path / f"{PREVIOUS}.{os.getpid()}.partial"
        try:
            with suppress(OSError):  # there is none yet
                os.link(self.path / CHECKPOINT, temporary)
            yield
            with suppress(OSError):
                os.replace(temporary, self.path / PREVIOUS)
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _put_back(self) -> None:
        """Put back the lock and the configuration where somebody has removed them, with a warning.

        Raises: InUse where another process has locked the folder since.
        """
        with os_errors_explained(self.path):
            if not self._lock.is_current():
                gone, self._lock = self._lock, Lock(self.path / LOCK)
                gone.release()  # which closes its file
                warnings.warn(
                    f"{self.path / LOCK} was removed while the run writes there: it is locked again.", stacklevel=3
                )
            if self._config is not None and not (self.path / CONFIG).exists():
                warnings.warn(
                    f"{self.path / CONFIG} was removed while the run goes on: it is written again.", stacklevel=3
                )
                self.configure(self._config)

    def _write_json(self, name: str, content: Mapping[str, Any]) -> None:
        with atomic_write(self.path / name) as file:
            file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _not_through_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _finite(value: Any) -> Any:
    """`value` with null for each number that is not finite, which JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
