"""A second writer while the first is at a named point: refused, and the first ends as if nothing had been."""

from __future__ import annotations

import os
from collections import Counter

from tests.faults.kills.check import Case, Tally
from tests.faults.kills.points import Point
from tests.faults.kills.victim import Leg, begin, ended, go_on, start

LOCKED = "open lock #1", "unlink lock #1"  # the folder is locked from behind the first to the second


def locked(case: Case, leg: Leg) -> list[Point]:
    """The points of a leg at which the run's folder is locked, and there is a run in it."""
    points = case.points[leg]
    first, last = points.index(Point(LOCKED[0], True)) + 1, points.index(Point(LOCKED[1], False))
    if leg is begin:
        first = points.index(Point("replace config.json #1", True))
    return points[first : last + 1]


def second_writer(case: Case, leg: Leg, point: Point) -> Tally:
    """One case; the second writer is a process that resumes the run."""
    case.prepare(leg)
    (arrived, reports), (waits, releases) = os.pipe(), os.pipe()

    def pause(at: Point) -> None:
        if at == point:
            os.write(reports, b".")
            os.read(waits, 1)

    wrong = []
    first = start(leg, case.run, case.kind, case.outside, pause)
    os.close(reports)
    try:
        if os.read(arrived, 1):
            second = case.top / "second"
            second.mkdir(exist_ok=True)
            outcome = ended(start(go_on, case.run, case.kind, second, lambda point: None), second)
            if not outcome.error.startswith("InUse"):
                wrong.append(f"the second writer was not refused ({outcome.error or outcome.status})")
        else:
            wrong.append("the first did not come by")
    finally:
        os.write(releases, b".")
        outcome = ended(first, case.outside)
        for descriptor in (arrived, waits, releases):
            os.close(descriptor)
    if outcome.status or outcome.error:
        wrong.append(f"the first ended with {outcome.error or outcome.status}")
    else:
        wrong += case.ends_well()
    failures = [f"{case.kind}, a second writer {point} in {leg.__name__}: {'; '.join(wrong)}"] if wrong else []
    return Tally(Counter(ends=1, right=int(not wrong)), failures)
