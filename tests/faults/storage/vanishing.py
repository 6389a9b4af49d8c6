"""Locks that go or are taken, folders that are moved or removed under a run, and claims of a sweep."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from minilocal.cli import main
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child
from tests.faults.storage.expect import one_line, well
from tests.faults.storage.small import end_of, goes_on, run_words, undisturbed
from tests.faults.storage.writers import LOCK, at_each_epoch, until


def cases() -> Iterator[Case]:
    for after in (0, 1, 2):
        yield Case(f"the lock is removed in epoch {after + 1}", partial(lock_removed, epoch=after), after == 1)
        yield Case(
            f"the lock is removed in epoch {after + 1}, and another takes it",
            partial(lock_taken, epoch=after),
            after == 1,
        )
    yield Case("the folder is moved away", moved)
    yield Case("the folder is moved away, and another made", moved_and_made)
    yield Case("the folder is removed", removed)
    yield Case("two sweeps of one grid at once", two_sweeps)
    yield Case("a sweep's claim is taken over while its owner lives", claim_taken)


def lock_removed(folder: Path, epoch: int) -> None:
    def act(now: int) -> None:
        if now == epoch:
            (folder / "run" / LOCK).unlink()

    ended = Child(folder, lambda: at_each_epoch(act, run_words("run"))).wait()
    well(ended)
    assert "was removed" in ended.err, ended.err
    assert end_of(folder / "run") == undisturbed()


def lock_taken(folder: Path, epoch: int) -> None:
    """Another process resumes the run as soon as the lock is removed: the first one stops, and no row is twice."""

    def act(now: int) -> None:
        if now == epoch:
            (folder / "run" / LOCK).unlink()
            (folder / "removed").touch()
            until(lambda: (folder / "taken").exists())

    def wait(now: int) -> None:
        (folder / "taken").touch()
        until(lambda: (folder / "go").exists())

    first = Child(folder, lambda: at_each_epoch(act, run_words("run")))
    until(lambda: (folder / "removed").exists())
    resume = ["train", "--resume", "run"] if epoch else run_words("run")  # nothing was saved by then
    second = Child(folder, lambda: at_each_epoch(wait, resume))
    one_line(first.wait(), word="in use")
    (folder / "go").touch()
    well(second.wait())
    assert end_of(folder / "run") == undisturbed()
    goes_on(folder / "run")


def moved(folder: Path) -> None:
    def act(now: int) -> None:
        if now == 1:
            (folder / "run").rename(folder / "away")

    one_line(Child(folder, lambda: at_each_epoch(act, run_words("run"))).wait(), word="run")
    assert not (folder / "run").exists(), "made anew, without its configuration"
    goes_on(folder / "away")


def moved_and_made(folder: Path) -> None:
    """Another folder of the run's name: the run may stop, or say that it writes there; it loses nothing."""

    def act(now: int) -> None:
        if now == 1:
            (folder / "run").rename(folder / "away")
            (folder / "run").mkdir()

    ended = Child(folder, lambda: at_each_epoch(act, run_words("run"))).wait()
    assert "Traceback" not in ended.err and ended.status in (0, 2), str(ended)
    assert "was removed" in ended.err or ended.status == 2, f"without a word: {ended}"
    goes_on(folder / "away")


def removed(folder: Path) -> None:
    def act(now: int) -> None:
        if now == 1:
            shutil.rmtree(folder / "run")

    one_line(Child(folder, lambda: at_each_epoch(act, run_words("run"))).wait(), word="run")
    goes_on(folder / "run")


def sweep_words(out: str) -> list[str]:
    return ["sweep", "--out", out, "--seeds", "0-1", *run_words("")[1:-2]]


def two_sweeps(folder: Path) -> None:
    ends = [child.wait() for child in [Child(folder, lambda: main(sweep_words("sweep"))) for _ in range(2)]]
    for end in ends:
        assert "Traceback" not in end.err and end.status in (0, 1), str(end)
    assert any(end.status == 0 for end in ends), [str(end) for end in ends]
    runs = [file.parent for file in folder.glob("sweep/*/done")]
    assert len(runs) == 2 and [run.name for run in runs if end_of(run) == undisturbed()], runs
    assert not list(folder.glob("sweep/*/claim")), "a claim is left"


def claim_taken(folder: Path) -> None:
    """Another process's claim stands in place of this one's: its cell is left to it, and the others are trained."""
    from minilocal.sweep import claim

    def act(now: int) -> None:
        if now == 0 and not (folder / "taken").exists():
            file = next(folder.glob("sweep/*/claim"))
            (folder / "taken").write_text(file.parent.name)
            text = json.dumps({"host": "elsewhere", "process": 1, "job": None, "token": "another"})
            file.with_name("claim.new").write_text(text)
            file.with_name("claim.new").replace(file)
            time.sleep(0.5)

    def work() -> int:
        claim.LOOK = 0.05
        return at_each_epoch(act, sweep_words("sweep"))

    child = Child(folder, work)
    until(lambda: (folder / "taken").exists() and bool(list(folder.glob("sweep/*/done"))))
    child.kill(signal.SIGTERM)
    ended = child.wait()
    assert "Traceback" not in ended.err and ended.status in (0, 1, 75, 143), str(ended)
    cell = folder / "sweep" / (folder / "taken").read_text()
    assert "another" in (cell / "claim").read_text(), "it has removed another's claim"
    assert not (cell / "done").exists() and not (cell / LOCK).exists()
