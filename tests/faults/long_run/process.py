"""What this process holds: its resident set, its descriptors, its threads and its children, as Linux says it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc/self")
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
GROWTH = 0.02  # of the resident set, at most


@dataclass(frozen=True)
class Held:
    """The state of a process after so many steps. `resident` in bytes; threads as the system counts them."""

    pid: int
    step: int
    resident: int
    descriptors: int
    threads: int
    children: int

    @classmethod
    def now(cls, step: int) -> Held:
        """As it is now."""
        resident = int((PROC / "statm").read_text().split()[1]) * PAGE
        descriptors = len(list((PROC / "fd").iterdir())) - 1  # the one that lists them
        return cls(
            os.getpid(), step, resident, descriptors, len(list((PROC / "task").iterdir())), len(children(os.getpid()))
        )


def children(parent: int) -> list[int]:
    """The processes whose parent this is, those too that have ended and were not waited for."""
    collected = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            collected.append(int(entry.name))
    return collected


def grown(before: Held, after: Held) -> list[str]:
    """What a process holds more of than before, in words; nothing where all is well."""
    wrong = []
    if after.resident > before.resident * (1 + GROWTH):
        more = 100 * (after.resident / before.resident - 1)
        wrong.append(f"resident set {before.resident / 1e6:.1f} to {after.resident / 1e6:.1f} MB, {more:.1f} % more")
    for what in ("descriptors", "threads", "children"):
        if (now := getattr(after, what)) > (then := getattr(before, what)):
            wrong.append(f"{what} {then} to {now}")
    return wrong
