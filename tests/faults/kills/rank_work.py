"""What ranks do: a run of `minilocal.parallel.train`, in which one of them may be killed at a named point."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from minilocal import parallel, record
from minilocal.parallel import mpi
from tests.faults.kills.manifest import Manifest, without_seconds
from tests.faults.kills.points import Point, Watched
from tests.faults.kills.victim import kill
from tests.helpers.small_run import configuration


class Seen:
    """The points of this rank, and the kill at one of them."""

    def __init__(self, at: Point | None) -> None:
        self.points: list[Point] = []
        self.kill = kill(at) if at else lambda point: None

    def reached(self, point: Point) -> None:
        self.points.append(point)
        self.kill(point)

    def synced(self, path: Path) -> None: ...
    def created(self, path: Path) -> None: ...
    def replaced(self, path: Path) -> None: ...


def begin(run: str, outside: str, keys: str, rank: int, name: str, after: bool) -> list[list[Any]]:
    """A new run; rank `rank` is killed at the point, if there is a name. Returns each rank's points."""
    return _trained(run, outside, rank, name, after, config=configuration(Path(run), **json.loads(keys)))


def go_on(run: str, outside: str, epochs: int, rank: int, name: str, after: bool) -> list[list[Any]]:
    """The run, resumed."""
    return _trained(run, outside, rank, name, after, resume=run, epochs=epochs)


def _trained(run: str, outside: str, rank: int, name: str, after: bool, **what: Any) -> list[list[Any]]:
    warnings.simplefilter("ignore")  # of auxiliary networks
    own = mpi.world().rank
    record.current_environment = dict  # it asks git, which takes long
    seen = Seen(Point(name, after) if name and own == rank else None)
    manifest = Manifest(Path(outside) / "manifest") if own == 0 else None
    Watched(Path(run), seen, *([manifest] if manifest else []))

    def say(line: str) -> None:
        if manifest and line.startswith("run folder"):
            manifest.promise("run")

    def row(row: dict[str, Any]) -> None:
        if manifest:
            manifest.promise("row", without_seconds(row))

    parallel.train(**what, on_epoch=row, say=say, bar=False)
    return [[p.name, p.after] for p in seen.points]
