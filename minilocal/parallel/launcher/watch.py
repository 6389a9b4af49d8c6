"""Which ranks live, as seen by the process that started them, and which one ended the others.

Linux reports the end of a process at once, by its pidfd; elsewhere the processes are polled.
"""

from __future__ import annotations

import math
import os
import select
import signal as signals
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from minilocal.parallel.launcher.notes import ERROR, WAITS, note

OF_HYDRA = 255  # where it fails itself, as when a rank ends while MPI starts
STARTING = 2.0  # seconds between the first rank's start and the last one's


class Failure(NamedTuple):
    """The rank that ended the others; None where it cannot be known. `kind` is user, stop, other, ended or mpiexec."""

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
                signals.pidfd_send_signal(self.descriptor, number)
            else:
                os.kill(self.pid, number)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _process(text: str) -> int:
    """The number of a process. Raises: ValueError for any other: a signal to 0 or below reaches many processes."""
    number = int(text)
    if not 0 < number < 1 << 31:
        raise ValueError(f"{number} is no process")
    return number


class Watch:
    """The ranks of `folder`."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.folder, self.processes = folder, processes
        self.ranks: dict[int, Rank] = {}
        self.first = 0.0  # when the first rank was seen

    def look(self) -> None:
        """See which ranks are new and, where no descriptor tells it, which have ended."""
        for number in set(range(self.processes)) - self.ranks.keys():
            with suppress(OSError, ValueError):
                self.ranks[number] = Rank(_process((self.folder / f"process.{number}").read_text()))
                self.first = self.first or time.monotonic()
        for rank in self.ranks.values():
            if rank.descriptor < 0:
                rank.has_ended()

    def lost(self) -> list[int]:
        """The ranks that have ended before their work: those that ran, first, and those that did not come to it."""
        ended = [number for number, rank in self.ranks.items() if rank.ended and not self.is_done(number)]
        overdue = self.first and time.monotonic() - self.first > STARTING
        missing = sorted(set(range(self.processes)) - self.ranks.keys()) if overdue else []
        return sorted(ended, key=lambda number: self.ranks[number].ended) + missing

    def has_failed(self) -> bool:
        """Whether a rank is lost, or has written an error, which all ranks may have together."""
        return bool(self.lost() or self._marked("error"))

    def is_ready(self, number: int) -> bool:
        """Whether a rank trains, so that it can be asked to stop: before its first step there is nothing to save."""
        return (self.folder / f"rank.{number}.ready").exists() and number in self.ranks

    def is_done(self, number: int) -> bool:
        return (self.folder / f"rank.{number}.done").exists()

    def all_done(self) -> bool:
        return all(self.is_done(number) for number in range(self.processes))

    def deadlock(self) -> Failure | None:
        """The failure where every rank has returned or waits in a call of MPI: no rank sends a message any more."""
        marks = {end: self._marked(end) for end in ("returned", "waits")}
        if not all(marks.values()) or len(set().union(*marks.values())) < self.processes:
            return None
        waiting, others = marks["waits"][0], marks["returned"]
        if mark := note(self.folder / f"rank.{waiting}.waits", WAITS):
            names = f"rank {others[0]}" if len(others) == 1 else f"ranks {', '.join(map(str, others))}"
            message = f"waited in {mark['where']} after {names} had returned"
            return Failure(waiting, "other", message, f"Where it waited:\n{mark['traceback']}")
        return None  # it goes on

    def _marked(self, end: str) -> list[int]:
        """The ranks with a mark of this name."""
        return [number for number in range(self.processes) if (self.folder / f"rank.{number}.{end}").exists()]

    def errors(self) -> dict[int, dict[str, Any]]:
        """What the ranks wrote about their errors, the first one first."""
        entries = {number: note(self.folder / f"rank.{number}.error", ERROR) for number in range(self.processes)}
        written = [(number, entry) for number, entry in entries.items() if entry]
        return dict(sorted(written, key=lambda item: item[1]["time"]))

    def facts(self, number: int) -> dict[str, str]:
        """What `cause.note` kept of a rank."""
        return note(self.folder / f"rank.{number}.facts")

    def failure(self, status: int, signal: int | None = None) -> Failure:
        """The first failure; `status` is mpiexec's, and `signal` the one that its banner names."""
        errors, lost = self.errors(), self.lost()
        ends = {number: self.ranks[number].ended for number in lost if number in self.ranks and number not in errors}
        first, gone = next(iter(errors), None), next(iter(ends or lost), None)
        if first is not None and (gone is None or errors[first]["time"] <= ends.get(gone, math.inf)):
            entry = errors[first]
            return Failure(first, entry["kind"], entry["message"], entry["traceback"])
        broken_pipe = status == -signals.SIGPIPE and gone is not None  # to a rank's proxy: mpiexec ended after it
        if status < 0 and not broken_pipe:
            return Failure(None, "mpiexec", f"was killed by signal {-status}")
        if signal is not None:
            return Failure(gone, "ended", f"was killed by signal {signal}")
        if not self.ranks:
            return Failure(None, "ended", f"could not be started: mpiexec ended with status {status}")
        known = f", with exit status {status}" if status > 0 and status != OF_HYDRA else ""
        return Failure(gone, "ended", f"left early{known}")

    def close(self) -> None:
        for rank in self.ranks.values():
            rank.close()
