"""A process that trains and is killed at a named point: a child of this one, which has imported everything.

What it did is written into its folder `outside`, beside the run's:

    manifest      what it promised, a line before each promise
    disk          what is on the disk (`disk.Disk`)
    outcome.json  only where it ended by itself: the points that it met, its warnings of the run's folder, its error
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from minilocal import record
from minilocal.train import Interrupted, train
from minilocal.train.stop import StopRequest
from tests.faults.kills.disk import Disk
from tests.faults.kills.kinds import EPOCHS, KINDS, STOPPED
from tests.faults.kills.manifest import Manifest, without_seconds
from tests.faults.kills.points import Point, Watched
from tests.helpers.small_run import configuration

At = Callable[[Point], None]
Leg = Callable[["Life"], None]
SECONDS = 60  # the longest that a process may take, on a busy machine; without a hang it is a fraction of one


@dataclass
class Outcome:
    """How a process ended: `status` is minus the signal's number where it was killed; `error` is what it raised."""

    status: int
    points: list[Point] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL

    @property
    def steps(self) -> int:
        """The steps that it took."""
        return sum(p.call == "step" and p.after for p in self.points)


@dataclass
class Life:
    """One process: the run's folder, its kind, and what is known outside."""

    run: Path
    kind: str
    outside: Path
    at: At = lambda point: None
    stop: StopRequest = field(default_factory=StopRequest)
    points: list[Point] = field(default_factory=list)

    def reached(self, point: Point) -> None:
        """As a listener: notes the point, and does there what is to be done."""
        self.points.append(point)
        self.at(point)

    def synced(self, path: Path) -> None: ...
    def created(self, path: Path) -> None: ...
    def replaced(self, path: Path) -> None: ...

    def train(self, **what: Any) -> None:
        """`train`, with each promise in the manifest before it is made."""
        promise = self.manifest.promise

        def say(line: str) -> None:
            if line.startswith("run folder"):
                promise("run")

        def row(row: dict[str, Any]) -> None:
            promise("row", without_seconds(row))

        train(**what, on_epoch=row, say=say, bar=False)

    def watch(self) -> None:
        """From here on every call is reported."""
        self.manifest = Manifest(self.outside / "manifest")
        append = record.RunFolder.add_row

        def add_row(folder: record.RunFolder, row: Mapping[str, Any]) -> None:
            append(folder, row)
            self.manifest.promise("appended", without_seconds(row))

        patch.object(record.RunFolder, "add_row", add_row).start()
        Watched(self.run, Disk(self.run, self.outside / "disk"), self.manifest, self)


def begin(life: Life) -> None:
    """The first leg: a new run that is stopped and saved."""
    real = life.at

    def stopping(point: Point) -> None:
        life.stop.stop |= point == Point(f"step #{STOPPED}", True)
        real(point)

    life.at = stopping
    try:
        life.train(config=configuration(life.run, optim__epochs=EPOCHS - 1, **KINDS[life.kind]), request=life.stop)
    except Interrupted:
        life.manifest.promise("saved", STOPPED)


def go_on(life: Life) -> None:
    """The second leg, or what comes after a kill: a run without a configuration starts anew."""
    if (life.run / "config.json").exists():
        life.train(resume=life.run, epochs=EPOCHS)
    else:
        life.train(config=configuration(life.run, optim__epochs=EPOCHS, **KINDS[life.kind]))


def kill(at: Point) -> At:
    """Kills the process there."""

    def reached(point: Point) -> None:
        if point == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def unkilled(kind: str, run: Path) -> None:
    """The run in one leg, in this process and unwatched; its children then have everything imported and read."""
    config = configuration(run, optim__epochs=EPOCHS, **KINDS[kind])
    with warnings.catch_warnings(), patch.object(record, "current_environment", dict):
        warnings.simplefilter("ignore")  # of auxiliary networks
        train(config, bar=False)
        train(resume=run, bar=False)


def live(leg: Leg, run: Path, kind: str, outside: Path, at: At = lambda point: None) -> Outcome:
    """A process that does `leg`, and how it ended."""
    child = start(leg, run, kind, outside, at)
    return ended(child, outside)


def start(leg: Leg, run: Path, kind: str, outside: Path, at: At) -> int:
    """The number of a new process that does `leg`."""
    shutil.rmtree(outside / "disk", ignore_errors=True)
    (outside / "outcome.json").unlink(missing_ok=True)
    outside.mkdir(exist_ok=True)
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads, which minilocal's own do not need in a child
        child = os.fork()
    if child:
        return child
    status = 1
    gc.disable()  # it would copy every page that the child shares
    signal.alarm(SECONDS)  # one that hangs is ended, by another signal than SIGKILL
    try:
        _be(leg, Life(run, kind, outside, at))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
    finally:
        os._exit(status)


def ended(child: int, outside: Path) -> Outcome:
    """How a process ended, when it has."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    file = outside / "outcome.json"
    if not file.exists():
        return Outcome(status)
    facts = json.loads(file.read_text())
    facts["points"] = [Point(*point) for point in facts["points"]]
    return Outcome(status, **facts)


def _be(leg: Leg, life: Life) -> None:
    """What the child does."""
    record.current_environment = dict  # it asks git, which takes long
    error = ""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        life.watch()
        try:
            leg(life)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
    facts = {
        "points": [(p.name, p.after) for p in life.points],
        "warned": [str(w.message) for w in warned if str(life.run) in str(w.message)],
        "error": error,
    }
    (life.outside / "outcome.json").write_text(json.dumps(facts))
