"""Each check, run with what it relies on taken out: how many of its cases notice it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.faults.kills import breaking
from tests.faults.kills.check import Case, Tally, killed_at
from tests.faults.kills.damaged import WAYS, damaged
from tests.faults.kills.points import Point
from tests.faults.kills.victim import Leg, begin, go_on
from tests.faults.kills.writers import locked, second_writer
from tests.faults.measured import Broken

TELLING: dict[str, tuple[Leg, Point]] = {  # a point at which the want shows; others are drawn
    "fsync of files": (begin, Point("step #4", False)),
    "fsync of folders": (go_on, Point("step #3", False)),
    "a temporary file and its rename": (go_on, Point("open checkpoint.npz #1", True)),
    "the optimiser's state": (begin, Point("step #4", True)),
    "what is in flight": (begin, Point("step #4", True)),
    "running statistics": (begin, Point("step #4", True)),
    "cutting rows at the checkpoint's epoch": (go_on, Point("open checkpoint.npz.partial #1", False)),
}


def cases(top: Path) -> Callable[[str], Case]:
    """The case of a kind, made once."""
    created: dict[str, Case] = {}

    def case(kind: str) -> Case:
        if kind not in created:
            created[kind] = Case(kind, top)
        return created[kind]

    return case


def broken(case: Callable[[str], Case], tries: int, seed: int = 0, enough: int | None = None) -> list[Broken]:
    """All of them, with `tries` cases each: one that is known to tell, and others drawn from the run's points."""
    results = []
    for without, (kind, breaking_it) in breaking.WITHOUT.items():
        whole = case(kind)
        if without in TELLING:
            others = random.Random(f"{seed} {without}").sample(whole.all_points(), tries - 1)
            kills = [partial(killed_at, whole, leg, point, cuts=True) for leg, point in [TELLING[without], *others]]
        else:
            kills = [partial(damaged, whole, WAYS[n % len(WAYS)], n) for n in range(tries)]
        results.append(_red(without, kills, breaking_it, enough))
    whole, rng = case("BackLink"), random.Random(seed)
    pauses = rng.sample(locked(whole, go_on), tries)
    pairs = [partial(second_writer, whole, go_on, point) for point in pauses]
    results.append(_red("the lock", pairs, breaking.no_lock, enough))
    kills = [partial(killed_at, whole, leg, point, cuts=False) for leg, point in rng.sample(whole.all_points(), tries)]
    results.append(_red("the kill", kills, breaking.no_kill, enough))
    return results


def _red(
    without: str, ones: Sequence[Callable[[], Tally]], breaking_it: breaking.Breaking, enough: int | None
) -> Broken:
    """The cases that notice; after `enough` of them no more are tried."""
    tried = red = 0
    for one in ones:
        with breaking_it():
            red += bool(one().failures)
        tried += 1
        if red == enough:
            break
    return Broken(without, tried, red)
