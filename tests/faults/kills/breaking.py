"""minilocal with one of its mechanisms taken out: the checks must notice it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from unittest.mock import patch

import numpy as np

from minilocal.learner import Learner
from minilocal.record import RunFolder


class _Without:
    """A module in which some names are others."""

    def __init__(self, module: Any, **others: Any) -> None:
        self.__dict__.update(others)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)  # as it is now: the points of a run replace calls there


def _no_fsync(of: Callable[[int], bool]) -> AbstractContextManager[Any]:
    """No fsync of what `of` is true of, by its mode."""

    def fsync(descriptor: int) -> None:
        if not of(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)

    without = _Without(os, fsync=fsync)
    return _both(patch("minilocal.record.files.os", without), patch("minilocal.record.folder.os", without))


@contextmanager
def _both(one: Any, other: Any) -> Iterator[None]:
    with one, other:
        yield


@contextmanager
def _in_place(path: str | Path) -> Iterator[BinaryIO]:
    """`atomic_write` without a temporary file and a rename."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _forgetting(these: Callable[[str], bool]) -> AbstractContextManager[Any]:
    """A Learner that restores zeros for the floating-point arrays whose names are these."""
    real = Learner.restore

    def restore(learner: Learner, saved: Mapping[str, np.ndarray]) -> None:
        kept = {n: np.zeros_like(a) if these(n) and a.dtype.kind == "f" else a for n, a in saved.items()}
        real(learner, kept)

    return patch.object(Learner, "restore", restore)


Breaking = Callable[[], AbstractContextManager[Any]]
WITHOUT: dict[str, tuple[str, Breaking]] = {  # what: (a kind of run, how it is taken out)
    "fsync of files": ("BackLink", lambda: _no_fsync(stat.S_ISREG)),
    "fsync of folders": ("BackLink", lambda: _no_fsync(stat.S_ISDIR)),
    "a temporary file and its rename": ("BackLink", lambda: patch("minilocal.record.folder.atomic_write", _in_place)),
    "the optimiser's state": ("BackLink", lambda: _forgetting(lambda name: name.startswith("optim:"))),
    "what is in flight": ("FDG", lambda: _forgetting(lambda name: name.startswith("flight:"))),
    "running statistics": ("batch norm, on ResNet-8", lambda: _forgetting(lambda name: "running_" in name)),
    "cutting rows at the checkpoint's epoch": (
        "BackLink",
        lambda: patch.object(RunFolder, "truncate_rows", lambda folder, epochs: []),
    ),
    "the checkpoint before the newest": ("BackLink", lambda: patch("minilocal.record.folder.PREVIOUS", "other.npz")),
}


def no_lock() -> AbstractContextManager[Any]:
    """A lock that keeps nobody out."""
    import fcntl

    return patch("minilocal.record.lock.fcntl", _Without(fcntl, flock=lambda descriptor, operation: None))


def no_kill() -> AbstractContextManager[Any]:
    """The fault itself left out: nobody is killed."""
    return patch("tests.faults.kills.check.kill", lambda point: lambda at: None)
