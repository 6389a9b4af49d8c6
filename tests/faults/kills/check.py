"""A kill at a point, what it and a power cut leave, and whether the run goes on from there to the same end."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minilocal.errors import UserError
from tests.faults.kills import disk, manifest
from tests.faults.kills.ends import end_of
from tests.faults.kills.kinds import TOTAL
from tests.faults.kills.points import Point
from tests.faults.kills.victim import Leg, Outcome, begin, go_on, kill, live, unkilled

KILLED = "killed"  # beside disk.CUTS: the process alone, so that nothing is lost


@dataclass
class Tally:
    """What has been counted: kills; ends that were compared; those that are right; runs that started anew."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.counts + other.counts, self.failures + other.failures)


class Case:
    """A kind of run with its end and its points, in a folder of its own."""

    def __init__(self, kind: str, top: Path) -> None:
        self.kind, self.top = kind, top / kind.replace(" ", "-").replace(",", "")
        shutil.rmtree(self.top, ignore_errors=True)
        self.top.mkdir(parents=True)
        self.run, self.outside = self.top / "run", self.top / "outside"
        unkilled(kind, self.top / "unkilled")
        self.end = end_of(self.top / "unkilled")
        self.points: dict[Leg, list[Point]] = {begin: self._points(begin)}
        self.before_going_on = disk.content(self.run), (self.outside / "manifest").read_bytes()
        self.points[go_on] = self._points(go_on)
        assert not self.differences(), "the legs end otherwise than the run in one"

    def _points(self, leg: Leg) -> list[Point]:
        outcome = self.live(leg)
        assert not outcome.status and not outcome.error and len(outcome.points) > 20, outcome
        return outcome.points

    def live(self, leg: Leg, point: Point | None = None) -> Outcome:
        """A process that does `leg` with the run, killed at the point."""
        return live(leg, self.run, self.kind, self.outside, *([] if point is None else [kill(point)]))

    def prepare(self, leg: Leg) -> None:
        """The folder and the manifest as they are before `leg`."""
        shutil.rmtree(self.outside, ignore_errors=True)
        self.outside.mkdir()
        files, promised = self.before_going_on if leg is go_on else (None, b"")
        disk.put(self.run, files)
        (self.outside / "manifest").write_bytes(promised)

    def all_points(self) -> list[tuple[Leg, Point]]:
        """Every point of both legs."""
        return [(leg, point) for leg, points in self.points.items() for point in points]

    def cuts(self) -> Iterator[tuple[str, disk.Content | None]]:
        """What the kill leaves, and what each kind of power cut would leave where that is something else."""
        seen = [disk.content(self.run)]
        yield KILLED, seen[0]
        for cut in disk.CUTS:
            files = disk.left(self.run, self.outside / "disk", cut)
            if files not in seen:
                seen.append(files)
                yield cut, files

    def ends_well(self) -> list[str]:
        """What is wrong with the folder as it is now and with its way to the end; [] where nothing is."""
        wrong, saved = manifest.held_against(self.outside / "manifest", self.run)
        outcome = self.live(go_on)
        if outcome.status or outcome.error:
            return [*wrong, f"not resumed: {outcome.error or outcome.status}"]
        wrong += [f"warned: {line}" for line in outcome.warned]
        if outcome.steps != TOTAL - saved:
            wrong.append(f"{outcome.steps} steps after {saved} of {TOTAL}")
        return wrong + self.differences()

    def differences(self) -> list[str]:
        """What of the run's end is not that of the run that was never killed."""
        try:
            return [f"not the same: {name}" for name in end_of(self.run).differences(self.end)]
        except UserError as error:
            return [f"unreadable: {error}"]


def killed_at(case: Case, leg: Leg, point: Point, cuts: bool) -> Tally:
    """The kill at one point of a leg, and with `cuts` each power cut there."""
    tally = Tally()
    case.prepare(leg)
    if not (outcome := case.live(leg, point)).killed:
        return Tally(failures=[f"{case.kind}, {point}: not killed, but {outcome.error or outcome.status}"])
    tally.counts["kills"] += 1
    promised = (case.outside / "manifest").read_bytes()
    for cut, files in list(case.cuts()) if cuts else [(KILLED, None)]:
        if cut != KILLED:
            disk.put(case.run, files)
            (case.outside / "manifest").write_bytes(promised)
        tally.counts["cuts"] += cut != KILLED
        tally.counts["anew"] += not (case.run / "config.json").exists()
        wrong = case.ends_well()
        tally.counts["ends"] += 1
        tally.counts["right"] += not wrong
        tally.counts["unreadable"] += any("unreadable" in line for line in wrong)
        if wrong:
            tally.failures.append(f"{case.kind}, {cut} {point} in {leg.__name__}: {'; '.join(wrong)}")
    return tally


def killed_at_each(case: Case, points: Iterable[tuple[Leg, Point]]) -> Tally:
    """Each point in turn; a power cut before each call and not after it, since nothing happens until the next one."""
    return sum((killed_at(case, leg, point, cuts=not point.after) for leg, point in points), Tally())
