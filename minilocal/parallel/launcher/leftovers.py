"""Files in /dev/shm that killed ranks leave behind. Linux only: elsewhere they have no names in a folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")
NAMES = ("mpich_shm_*", "ucx_shm_posix_*", "sm_segment.*", "vader_segment.*")  # MPICH, UCX, Open MPI

SETTLING = 0.25  # seconds between a file's making and its mapping, at most


def present() -> set[Path]:
    """MPI's files of this user in /dev/shm."""
    files = set()
    for pattern in NAMES:
        for path in SHARED.glob(pattern) if SHARED.is_dir() else ():
            with suppress(OSError):
                if path.stat().st_uid == os.geteuid():
                    files.add(path)
    return files


def remove(before: Iterable[Path]) -> None:
    """Remove those that are newer than `before` and that no process maps: not those that another run is making."""
    for path in _unmapped(present() - set(before)):
        with suppress(OSError):
            path.unlink()


def remove_own() -> None:
    """Remove those that this process maps: it is about to end, and with it all its ranks."""
    for path in present() & _mapped([Path("/proc/self")]):
        with suppress(OSError):
            path.unlink()


def _unmapped(files: set[Path]) -> set[Path]:
    """The files that no process maps, seen twice: a file is mapped right after it is made."""
    for pause in (0.0, SETTLING):
        if files:
            time.sleep(pause)
            files = files - _mapped(Path("/proc").glob("[0-9]*"))
    return files


def _mapped(processes: Iterable[Path]) -> set[Path]:
    """The files in /dev/shm that these processes map."""
    files = set()
    for process in processes:
        with suppress(OSError):
            for line in (process / "maps").read_text(errors="replace").splitlines():
                if str(SHARED) in line:
                    files.add(Path(line[line.index(str(SHARED)) :].removesuffix(" (deleted)")))
    return files
