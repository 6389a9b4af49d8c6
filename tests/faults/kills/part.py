"""The part `kills` of `make trust`."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.faults.kills import damaged, ranks
from tests.faults.kills.broken import broken, cases
from tests.faults.kills.check import Case, Tally, killed_at_each
from tests.faults.kills.kinds import KINDS
from tests.faults.kills.points import Point
from tests.faults.kills.sequences import killed_repeatedly
from tests.faults.kills.victim import begin, go_on
from tests.faults.kills.writers import locked, second_writer
from tests.faults.measured import Figure, Measured

TITLE = "Killed and resumed"
ABOUT = """
Each fsync, rename, link, removal, new file and new folder of a run, each step and each evaluation is a named point, as
`fsync checkpoint.npz.partial #3` or `step #5`. The points are counted in a run that nobody kills. Then a process is
killed with SIGKILL before each of them and after it, and the run is resumed to its end: nine steps in three epochs, in
two processes, of which the first is stopped and saves in the middle of an epoch.

What a run promises is written down outside its folder before anybody can see it: that the folder is a run, that a
checkpoint is in place, that an epoch has its row. After a kill every promise must be kept, the folder must be readable
without a warning, and the resumed run must take no step again that was saved. At the end weights, running statistics,
the optimiser's state, what is in flight, counters, rows (their seconds apart) and configuration must be those of the
run that was never killed, bit for bit, and the folder must hold the same files.

A kill alone loses nothing that was written. So before each point a power cut is tried too, on a model of POSIX: on
the disk are a file's bytes as of its last fsync, and a folder's names as of the folder's last fsync. Of the rest
nothing is there ("lost"), or all names are and no bytes ("names"), or half of the bytes too ("torn"). What was there
when a process began counts as being on the disk. Not simulated: a disk that does not write what it has confirmed,
writes that are torn within a sector, other orders of the names, file systems other than this machine's. fsync itself
is recorded and not called, since the model and not the machine's disk says what is lost. Runs on two ranks have no
power cuts.

A folder that had promised nothing may hold no run yet; its run then starts anew.

Runs are also killed two or three times, at points and with power cuts drawn by a seed; resumed after their newest
checkpoint was damaged, when the one before it must serve, with a warning; and met by a second writer while the first
stands at a point, which must be refused. On two ranks one is killed: the launch must end within a minute in one line
that names the rank and the last checkpoint, and two ranks or one process go on to the same end.
"""
MINUTES = 12.0
SEED = 20261127
SEQUENCES, DAMAGED, WRITERS, RANKS, TRIES = 10, 3, 8, 10, 12  # of each kind; kills of each rank; cases of each want
T = TypeVar("T")
ON_RANKS = ("BackLink", "FDG", "PGL, both kinds of epochs")


def run(minutes: float) -> Measured:
    """Every point of every kind of run; in fewer minutes than MINUTES a seeded sample of them, of that share."""
    share = min(1.0, minutes / MINUTES)
    figures: list[Figure] = []
    total = Tally()

    def count(what: str, tallies: Iterable[Tally], remark: Callable[[Tally], str]) -> None:
        nonlocal total
        tally = sum(tallies, Tally())
        total += tally
        tried = tally.counts["ends"] + sum("not killed" in line for line in tally.failures)
        figures.append(Figure(what, tried, tally.counts["right"], remark(tally)))

    with scratch() as top:
        case = cases(top)
        for kind in KINDS:
            chosen = sample(case(kind).all_points(), share, kind)
            count(f"{kind}: kills and power cuts", [killed_at_each(case(kind), chosen)], _kills_and_cuts)
        count("killed two or three times", _sequences(case, share), _kills_and_cuts)
        count("newest checkpoint damaged", _damaged(case, share), _kills)
        count("a second writer, while the first is at a point", _writers(case, share), lambda tally: "all refused")
        reason = ranks.missing()
        for kind in () if reason else ON_RANKS:
            count(f"{kind} on two ranks, one killed", _ranks(case(kind), share), _kills)
        checks = broken(case, max(2, round(TRIES * share)), SEED)
    kills, text = total.counts["kills"], f"{reason}: no runs on two ranks. " if reason else ""
    text += f"{kills} placed kills, {total.counts['cuts']} power cuts, {total.counts['unreadable']} unreadable folders."
    if share < 1:
        text += f" A sample of {share:.0%} of the points, by seed {SEED}."
    return Measured(figures, checks, total.failures, text)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for all runs, in memory where there is a GiB of it: the kinds need some 20 MB each."""
    memory = Path("/dev/shm")
    free = shutil.disk_usage(memory).free if memory.is_dir() else 0
    with tempfile.TemporaryDirectory(prefix="minilocal-kills-", dir=memory if free > 1 << 30 else None) as top:
        yield Path(top).resolve()


def sample(these: Sequence[T], share: float, name: str) -> list[T]:
    """A seeded share of these, in their order, two at least."""
    number = min(len(these), max(2, round(share * len(these))))
    return [these[i] for i in sorted(random.Random(f"{SEED} {name}").sample(range(len(these)), number))]


def _kills_and_cuts(tally: Tally) -> str:
    c = tally.counts
    return f"{c['kills']} kills, {c['cuts']} power cuts, {c['unreadable']} unreadable folders"


def _kills(tally: Tally) -> str:
    return f"{tally.counts['kills']} kills" if tally.counts["kills"] else ""


def _sequences(case: Callable[[str], Case], share: float) -> Iterator[Tally]:
    for kind in KINDS:
        for seed in range(max(1, round(SEQUENCES * share))):
            yield killed_repeatedly(case(kind), seed)


def _damaged(case: Callable[[str], Case], share: float) -> Iterator[Tally]:
    """Each way in each kind of run, and a kill at each point of a resume from the checkpoint before the newest."""
    for kind in KINDS:
        for way in damaged.WAYS:
            for seed in range(max(1, round(DAMAGED * share))):
                yield damaged.damaged(case(kind), way, seed)
    for point in sample(damaged.points(case("BackLink")), share, "damaged"):
        yield damaged.damaged(case("BackLink"), "emptied", 0, point)


def _writers(case: Callable[[str], Case], share: float) -> Iterator[Tally]:
    for kind in ("BackLink", "FDG"):
        for leg in (begin, go_on):
            points = locked(case(kind), leg)
            for point in sample(points, share * WRITERS / len(points), f"writers {leg.__name__}"):
                yield second_writer(case(kind), leg, point)


def _ranks(case: Case, share: float) -> Iterator[Tally]:
    of_ranks = ranks.RankCase(case)
    for rank, points in of_ranks.points.items():
        some: list[Point] = sample(points, share * RANKS / len(points), f"rank {rank} of {case.kind}")
        for number, point in enumerate(some):
            yield of_ranks.killed_at(rank, point, on_ranks=bool(number % 2))
