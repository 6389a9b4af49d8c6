"""The short form in a process of its own, which nothing else has threads in: `python -m tests.faults.kills.short WHAT`.

    points   BackLink killed before each of its points
    others   the other kinds at a few points, with power cuts; killed repeatedly; damaged; a second writer
    ranks    a few kills on two ranks
    broken   each check without what it relies on, until it notices

Prints {"kills": ..., "ends": ..., "right": ..., "unreadable": ..., "failures": [...], "red": {without: red}} as JSON.
"""

from __future__ import annotations

import json
import sys
import warnings

from tests.faults.kills.broken import broken, cases
from tests.faults.kills.check import Case, Tally, killed_at, killed_at_each
from tests.faults.kills.damaged import WAYS, damaged
from tests.faults.kills.kinds import KINDS
from tests.faults.kills.part import sample, scratch
from tests.faults.kills.ranks import RankCase
from tests.faults.kills.sequences import killed_repeatedly
from tests.faults.kills.victim import go_on
from tests.faults.kills.writers import locked, second_writer

OTHERS = ("PGL, both kinds of epochs", "FDG", "asynchronous DGL", "Adam", "dropout", "batch norm, on ResNet-8")
assert set(OTHERS) <= set(KINDS)


def points(case: Case) -> Tally:
    each = [(leg, point) for leg, point in case.all_points() if not point.after]
    return sum((killed_at(case, leg, point, cuts=False) for leg, point in each), Tally())


def others(kind: Case, number: int) -> Tally:
    chosen = sample([(leg, point) for leg, point in kind.all_points() if not point.after], 0, kind.kind)
    tally = killed_at_each(kind, chosen)
    tally += killed_repeatedly(kind, number)
    return tally + damaged(kind, WAYS[number % len(WAYS)], number)


def on_ranks(case: Case) -> Tally:
    ranks = RankCase(case)
    some = [(rank, sample(points, 0, f"rank {rank}")[0]) for rank, points in ranks.points.items()]
    return sum((ranks.killed_at(rank, point, on_ranks=rank == 1) for rank, point in some), Tally())


def main(what: str) -> None:
    warnings.simplefilter("ignore")  # of auxiliary networks on small ones
    tally, red = Tally(), {}
    with scratch() as top:
        case = cases(top)
        if what == "points":
            tally = points(case("BackLink"))
        elif what == "others":
            tally = sum((others(case(kind), number) for number, kind in enumerate(OTHERS)), Tally())
            paused = sample(locked(case("FDG"), go_on), 0, "writers")
            tally += sum((second_writer(case("FDG"), go_on, point) for point in paused), Tally())
        elif what == "ranks":
            tally = on_ranks(case("BackLink"))
        elif what == "broken":
            red = {b.without: b.red for b in broken(case, tries=8, enough=1)}
    counts = {name: tally.counts[name] for name in ("kills", "ends", "right", "unreadable")}
    print(json.dumps({**counts, "failures": tally.failures, "red": red}))


if __name__ == "__main__":
    main(sys.argv[1])
