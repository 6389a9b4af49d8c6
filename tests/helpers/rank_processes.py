"""The processes of MPI's ranks, found in /proc."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def ranks_below(pid: int) -> dict[int, int]:
    """{rank: process} of the descendants of a process that have a rank in their environment."""
    ranks: dict[int, int] = {}
    with suppress(OSError, ValueError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            env = _environment(child)
            number = env.get("PMI_RANK") or env.get("OMPI_COMM_WORLD_RANK")  # MPICH's, Open MPI's
            ranks |= {int(number): child} if number else ranks_below(child)
    return ranks


def folder_of(rank: int) -> Path:
    """The private folder of the run that this process is a rank of."""
    return Path(_environment(rank)["MINILOCAL_RANKS"])


def _environment(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(os.fsdecode(entry).partition("=")[::2] for entry in entries)


def of_runs_below(folder: Path) -> list[int]:
    """The processes that minilocal has started with a private folder in this one."""
    mark = f"MINILOCAL_RANKS={folder}".encode()
    numbers = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in environ.read_bytes():
                numbers.append(int(environ.parent.name))
    return numbers
