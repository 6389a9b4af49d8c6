"""Runs on two ranks, one of which is killed: the other ends soon, in one line, and the run goes on to the same end."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minilocal import parallel
from minilocal.errors import UserError
from tests.faults.kills import manifest, rank_work
from tests.faults.kills.check import Case, Tally
from tests.faults.kills.kinds import EPOCHS, KINDS
from tests.faults.kills.points import Point

SECONDS = 60  # the longest that a launch may take, on a busy machine; without a hang it is 2 or 3
LINE = r"rank {rank}( \(modules? [-\d]+\))? (was killed by signal 9|left early)(; .*)?"
SAVED = r".*; the last checkpoint is in .*: go on with minilocal train --resume .*"


class Hang(Exception):
    """Ranks that did not end."""


def missing() -> str:
    """Why there are no ranks here; empty where there are."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed: pip install 'minilocal[mpi]'"
    beside = Path(sys.executable).with_name("mpiexec")
    return "" if beside.exists() or shutil.which("mpiexec") else "there is no mpiexec"


@contextmanager
def _in_time() -> Iterator[None]:
    """Raises: Hang in the block, in the main thread, where it takes longer than SECONDS."""

    def ring(number: int, frame: Any) -> None:
        raise Hang(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class RankCase:
    """A kind of run on two ranks; its end is that of the run in one process, which `case` has."""

    def __init__(self, case: Case) -> None:
        self.case, self.run, self.outside = case, case.run, case.outside
        self._forget()
        self.points: dict[int, list[Point]] = dict(enumerate(self._begun()))  # of each rank
        assert not case.differences(), "two ranks end otherwise than one process"

    def killed_at(self, rank: int, point: Point, on_ranks: bool) -> Tally:
        """Rank `rank` killed at the point; the run is resumed by two ranks, or in one process."""
        self._forget()
        tally, wrong = Tally(), []
        try:
            self._begun(rank, point)
            return Tally(failures=[f"{self.case.kind}, rank {rank} {point}: not killed"])
        except (RuntimeError, UserError) as error:
            wrong += self._line(str(error), rank)
        except Hang as hang:
            wrong.append(str(hang))
        tally.counts["kills"] += 1
        if on_ranks and (self.run / "config.json").exists():
            wrong += manifest.held_against(self.outside / "manifest", self.run)[0]
            wrong += self._gone_on()
        else:
            wrong += self.case.ends_well()
        tally.counts += Counter(ends=1, right=int(not wrong))
        if wrong:
            tally.failures.append(f"{self.case.kind}, rank {rank} {point}: {'; '.join(wrong)}")
        return tally

    def _gone_on(self) -> list[str]:
        """What is wrong with the run's way to its end, on two ranks."""
        try:
            with _in_time():
                parallel.launch(rank_work.go_on, str(self.run), str(self.outside), EPOCHS, -1, "", False)
        except (RuntimeError, UserError, Hang) as error:
            return [f"not resumed: {error}"]
        return self.case.differences()

    def _line(self, line: str, rank: int) -> list[str]:
        """What is wrong with the one line of a launch that failed."""
        wrong = [] if re.fullmatch(LINE.format(rank=rank), line) else [f"the line is {line!r}"]
        if (self.run / "checkpoint.npz").exists() and not re.fullmatch(SAVED, line):
            wrong.append(f"the line says nothing of the checkpoint: {line!r}")
        return wrong

    def _begun(self, rank: int = -1, point: Point | None = None) -> list[list[Point]]:
        name, after = (point.name, point.after) if point else ("", False)
        keys = json.dumps({"optim__epochs": EPOCHS, **KINDS[self.case.kind]})
        with _in_time():
            seen = parallel.launch(rank_work.begin, str(self.run), str(self.outside), keys, rank, name, after)
        return [[Point(*point) for point in points] for points in seen]

    def _forget(self) -> None:
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.outside, ignore_errors=True)
        self.outside.mkdir()
