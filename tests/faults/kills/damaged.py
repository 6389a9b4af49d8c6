"""The newest checkpoint damaged: the one before it is used, with a warning, and the end is the same."""

from __future__ import annotations

import random
from collections import Counter

from tests.faults.kills.check import Case, Tally
from tests.faults.kills.kinds import STOPPED, TOTAL
from tests.faults.kills.points import Point
from tests.faults.kills.victim import go_on
from tests.helpers.small_run import STEPS

WAYS = ("emptied", "cut short", "a byte changed", "removed")
assert STOPPED > STEPS, "the checkpoint before the newest is that of the first epoch"


def damage(data: bytes, way: str, rng: random.Random) -> bytes | None:
    """Other bytes than these; None for no file."""
    if way == "removed":
        return None
    where = rng.randrange(len(data))
    if way == "a byte changed":
        return data[:where] + bytes([data[where] ^ (1 << rng.randrange(8))]) + data[where + 1 :]
    return b"" if way == "emptied" else data[:where]


def damaged(case: Case, way: str, seed: int, point: Point | None = None) -> Tally:
    """The stopped run with its newest checkpoint damaged, resumed to the end; with `point`, killed there first."""
    case.prepare(go_on)
    newest = case.run / "checkpoint.npz"
    data = damage(newest.read_bytes(), way, random.Random(seed))
    newest.unlink()
    if data is not None:
        newest.write_bytes(data)
    tally, wrong = Tally(), []
    if point is not None:
        outcome = case.live(go_on, point)
        if not outcome.killed:
            return Tally(failures=[f"{case.kind}, {way}, {point}: not killed, but {outcome.error or outcome.status}"])
        tally.counts["kills"] += 1
    outcome = case.live(go_on)
    if outcome.status or outcome.error:
        wrong = [f"not resumed: {outcome.error or outcome.status}"]
    else:
        fell_back = bool(outcome.warned)
        if point is None and (outcome.steps != TOTAL - (STEPS if fell_back else STOPPED)):
            wrong.append(f"{outcome.steps} steps, warned of {outcome.warned}")
        if point is None and not fell_back and way != "a byte changed":  # one that nothing reads is no damage
            wrong.append("used without a word")
        wrong += case.differences()
    tally.counts += Counter(ends=1, right=int(not wrong))
    if wrong:
        tally.failures.append(f"{case.kind}, newest checkpoint {way}, seed {seed}, {point}: {'; '.join(wrong)}")
    return tally


def points(case: Case) -> list[Point]:
    """The points of a run that resumes from the checkpoint before a damaged one."""
    case.prepare(go_on)
    (case.run / "checkpoint.npz").write_bytes(b"")
    return case.live(go_on).points
