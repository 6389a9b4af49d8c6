"""Runs that are killed two or three times, each time somewhere else, and then end as if nothing had been."""

from __future__ import annotations

import random
from collections import Counter

from tests.faults.kills import disk
from tests.faults.kills.check import KILLED, Case, Tally
from tests.faults.kills.victim import begin, go_on

FEWER = 12  # a resumed run may have less left to do: it is killed among its first points


def killed_repeatedly(case: Case, seed: int) -> Tally:
    """One run: killed in its first leg, then once or twice after a resume, by a kill alone or with a power cut.

    What the kill before a cut has not synced counts as synced: the process that is killed next finds it there.
    """
    rng, tally, met = random.Random(f"{case.kind} {seed}"), Tally(), []
    case.prepare(begin)
    for number in range(rng.choice((2, 3))):
        leg = begin if number == 0 else go_on
        point = rng.choice(case.points[leg][: None if number == 0 else FEWER])
        cut = rng.choice((KILLED, *disk.CUTS))
        met.append(f"{cut} {point}")
        outcome = case.live(leg, point)
        if not outcome.killed:
            if point in outcome.points or outcome.status or outcome.error:
                return Tally(failures=[f"{case.kind}, seed {seed}, {met}: not killed, but {outcome.error}"])
            continue  # a run that has started anew does not come by
        tally.counts["kills"] += 1
        if cut != KILLED:
            disk.put(case.run, disk.left(case.run, case.outside / "disk", cut))
            tally.counts["cuts"] += 1
    wrong = case.ends_well()
    tally.counts += Counter(ends=1, right=int(not wrong), unreadable=int("unreadable" in " ".join(wrong)))
    if wrong:
        tally.failures.append(f"{case.kind}, seed {seed}, {', then '.join(met)}: {'; '.join(wrong)}")
    return tally
