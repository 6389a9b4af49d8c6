"""Which ranks live, as seen by the process that started them, and which one ended the others.

Linux reports the end of a process at once, by its pidfd; elsewhere the processes are polled.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from minilocal.parallel.environment import STARTERS


class Failure(NamedTuple):
    """The rank that ended the others; None where it cannot be known. `kind` is user, stop, other, or ended."""

    rank: int | None
    kind: str
    message: str
    traceback: str = ""


class Rank:
    """One process: `pid`, and when its end was seen."""

    def __init__(self, pid: int) -> None:
        self.pid, self.ended = pid, 0.0
        self.descriptor = -1
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.descriptor = os.pidfd_open(pid)

    def has_ended(self) -> bool:
        if not self.ended and self._is_gone():
            self.ended = time.monotonic()
        return bool(self.ended)

    def _is_gone(self) -> bool:
        if self.descriptor >= 0:
            return bool(select.select([self.descriptor], [], [], 0)[0])
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def send(self, number: int) -> None:
        with suppress(OSError):
            if self.descriptor >= 0:
                signal.pidfd_send_signal(self.descriptor, number)
            else:
                os.kill(self.pid, number)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Watch:
    """The ranks of `folder`, which an mpiexec of process `starter` has started."""

    def __init__(self, folder: Path, processes: int, starter: int) -> None:
        self.folder, self.processes, self.starter = folder, processes, starter
        self.ranks: dict[int, Rank] = {}

    def look(self) -> bool:
        """See which ranks are new and which have ended. Whether one has failed."""
        if len(self.ranks) < self.processes:
            self._meet()
        ended = [number for number, rank in self.ranks.items() if rank.has_ended() and not self.is_done(number)]
        return bool(ended) or any((self.folder / f"rank.{number}.error").exists() for number in range(self.processes))

    def descriptors(self) -> list[int]:
        """What becomes readable when a rank ends."""
        return [rank.descriptor for rank in self.ranks.values() if rank.descriptor >= 0 and not rank.ended]

    def is_ready(self, number: int) -> bool:
        """Whether a rank has registered, so that it can be asked to stop."""
        return (self.folder / f"rank.{number}").exists() and number in self.ranks

    def is_done(self, number: int) -> bool:
        return (self.folder / f"rank.{number}.done").exists()

    def all_done(self) -> bool:
        return all(self.is_done(number) for number in range(self.processes))

    def errors(self) -> dict[int, dict[str, Any]]:
        """What the ranks wrote about their errors, the first one first."""
        entries = {}
        for number in range(self.processes):
            with suppress(OSError, ValueError):
                entries[number] = json.loads((self.folder / f"rank.{number}.error").read_text())
        return dict(sorted(entries.items(), key=lambda item: item[1]["time"]))

    def facts(self, number: int) -> dict[str, str]:
        """What `cause.note` kept of a rank."""
        with suppress(OSError, ValueError):
            return dict(json.loads((self.folder / f"rank.{number}.facts").read_text()))
        return {}

    def failure(self, status: int, banner_process: int | None, banner_signal: int | None) -> Failure:
        """The first failure; `status` is mpiexec's, and the rest what its banner said."""
        errors = self.errors()
        ended = {n: r.ended for n, r in self.ranks.items() if r.ended and not self.is_done(n) and n not in errors}
        first = next(iter(errors), None)
        by_banner = next((n for n in ended if self.ranks[n].pid == banner_process), None)
        killed = by_banner if by_banner is not None else min(ended, key=lambda n: ended[n], default=None)
        if first is not None and (killed is None or errors[first]["time"] <= ended[killed]):
            entry = errors[first]
            return Failure(first, entry["kind"], entry["message"], entry["traceback"])
        if by_banner is not None and banner_signal is not None:
            return Failure(killed, "ended", f"was killed by signal {banner_signal}")
        if killed is None and banner_signal is not None:
            return Failure(None, "ended", f"was killed by signal {banner_signal} while it started")
        if killed is None:
            return Failure(None, "ended", f"could not be started: mpiexec ended with status {status}")
        return Failure(killed, "ended", f"left early, with exit status {status}")

    def close(self) -> None:
        for rank in self.ranks.values():
            rank.close()

    def _meet(self) -> None:
        for number in set(range(self.processes)) - self.ranks.keys():
            with suppress(OSError, ValueError):
                self.ranks[number] = Rank(int((self.folder / f"rank.{number}").read_text()))
        if len(self.ranks) < self.processes:
            for number, pid in _ranks_below(self.starter):
                self.ranks.setdefault(number, Rank(pid))


def _ranks_below(pid: int) -> list[tuple[int, int]]:
    """(rank, process) of the descendants of a process that have a rank in their environment. Linux only."""
    ranks = []
    with suppress(OSError, ValueError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            entries = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
            env = dict(entry.decode(errors="replace").partition("=")[::2] for entry in entries)
            numbers = [int(env[name]) for name, _ in STARTERS[:2] if env.get(name, "").isdecimal()]
            ranks += [(numbers[0], child)] if numbers else _ranks_below(child)
    return ranks
