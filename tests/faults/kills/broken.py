"""Each check, run with what it relies on taken out: how many of its cases notice it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
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
    made: dict[str, Case] = {}

    def case(kind: str) -> Case:
        if kind not in made:
            made[kind] = Case(kind, top)
        return made[kind]

    return case


def broken(case: Callable[[str], Case], tries: int, seed: int = 0) -> list[Broken]:
    """All of them, with `tries` cases each: one that is known to tell, and others drawn from the run's points."""
    found = []
    for without, (kind, how) in breaking.WITHOUT.items():
        whole = case(kind)
        rng = random.Random(f"{seed} {without}")
        if without not in TELLING:
            found.append(_counted(without, tries, lambda n, w=whole: damaged(w, WAYS[n % len(WAYS)], n), how))
            continue
        drawn = [TELLING[without], *rng.sample(whole.all_points(), tries - 1)]
        found.append(_counted(without, tries, lambda n, w=whole, d=drawn: killed_at(w, *d[n], cuts=True), how))
    backlink = case("BackLink")
    pauses = random.Random(seed).sample(locked(backlink, go_on), tries)
    found.append(_counted("the lock", tries, lambda n: second_writer(backlink, go_on, pauses[n]), breaking.no_lock))
    kills = random.Random(seed).sample(backlink.all_points(), tries)
    found.append(_counted("the kill", tries, lambda n: killed_at(backlink, *kills[n], cuts=False), breaking.no_kill))
    return found


def _counted(without: str, tries: int, one: Callable[[int], Tally], how: Callable[[], object]) -> Broken:
    red = 0
    for number in range(tries):
        with how():  # type: ignore[attr-defined]
            red += bool(one(number).failures)
    return Broken(without, tries, red)


__all__: Sequence[str] = ["broken", "cases"]
