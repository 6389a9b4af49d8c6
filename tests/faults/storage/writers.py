"""Several processes that want one folder: one of them gets it, the others say so, and its run is as if alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from minilocal.cli import main
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child, Ended, command
from tests.faults.storage.expect import one_line, well
from tests.faults.storage.small import end_of, run_words, tidy, undisturbed

LOCK = "lock"


def cases() -> Iterator[Case]:
    yield Case("5 processes with one --out", partial(at_once, writers=5), True)
    yield Case("5 processes without --out", without_out, True)
    yield Case("2 resumes at once", partial(resumes, writers=2), True)
    yield Case("5 resumes at once", partial(resumes, writers=5))
    for name in ALIASES:
        yield Case(
            f"a running run by another name: {name}", partial(by_another_name, name=name), name == "a link to it"
        )
    yield Case("resume of a run that goes on", resume_of_a_running, True)
    yield Case("train --out of a run that goes on", out_of_a_running)
    yield Case("a resume of a run that is suspended (SIGSTOP)", resume_of_a_suspended)
    for text in (f"process {os.getpid()} on here", "process 1 on elsewhere", "process 999999 on gone", "", "\x00\xff"):
        yield Case(f"a stale lock that says {text!r}", partial(stale_lock, text=text), text == "")
    yield Case("a lock that is read-only", read_only_lock)
    yield Case("exports of one run to one file at once", exports)
    yield Case("a run is read while it is written", read_while_written)


def at_each_epoch(act: Callable[[int], None], words: list[str]) -> int:
    """The command, in this process, with `act(epoch)` before each row is written."""
    from minilocal.record import RunFolder

    real = RunFolder.add_row

    def add_row(self: RunFolder, row: dict[str, object]) -> None:
        act(int(str(row["epoch"])) - 1)
        real(self, row)

    RunFolder.add_row = add_row  # type: ignore[method-assign, assignment]
    return main(words)


def held(folder: Path) -> Child:
    """The small run, that waits after its first epoch until `folder/go` exists."""

    def wait(epoch: int) -> None:
        if epoch == 1:
            (folder / "there").touch()
            until(lambda: (folder / "go").exists())

    child = Child(folder, lambda: at_each_epoch(wait, run_words("run")))
    until(lambda: (folder / "there").exists())
    return child


def until(true: Callable[[], bool], limit: float = 60) -> None:
    end = time.perf_counter() + limit
    while not true():
        assert time.perf_counter() < end, "waits for too long"
        time.sleep(0.005)


def ends_well(child: Child, folder: Path, run: str = "run") -> Ended:
    (folder / "go").touch()
    ended = child.wait()
    well(ended)
    assert end_of(folder / run) == undisturbed(), "other bits"
    tidy(folder)
    return ended


def at_once(folder: Path, writers: int) -> None:
    children = [Child(folder, lambda: main(run_words("run"))) for _ in range(writers)]
    ends = [child.wait() for child in children]
    winners = [end for end in ends if end.status == 0]
    assert len(winners) == 1, f"{len(winners)} have won: {[str(end) for end in ends]}"
    for end in ends:
        if end.status:
            one_line(end)
    assert end_of(folder / "run") == undisturbed()
    assert not (folder / "run" / LOCK).exists()
    tidy(folder)


def without_out(folder: Path) -> None:
    words = run_words("")[:-2]
    ends = [child.wait() for child in [Child(folder, lambda: main(words)) for _ in range(5)]]
    runs = list((folder / "runs").iterdir())
    for end in ends:
        if end.status:
            one_line(end)
    done = [run for run in runs if end_of(run) == undisturbed()]
    assert len(done) == len(runs) == sum(end.status == 0 for end in ends), [str(end) for end in ends]
    assert len(done) == 5, f"{len(done)} of 5 have a folder: {[str(end) for end in ends if end.status]}"


def resumes(folder: Path, writers: int) -> None:
    well(command(folder, *run_words("run", epochs=1)))
    words = ["train", "--resume", "run", "--epochs", "3"]
    ends = [child.wait() for child in [Child(folder, lambda: main(words)) for _ in range(writers)]]
    assert any(end.status == 0 for end in ends), [str(end) for end in ends]
    for end in ends:
        if end.status:
            one_line(end, word="in use")
    assert end_of(folder / "run") == undisturbed(), [str(end) for end in ends]
    tidy(folder)


ALIASES: dict[str, Callable[[Path], str]] = {
    "a link to it": lambda top: _linked(top / "alias", top / "run"),
    "a link to its parent": lambda top: _linked(top / "parent", top) + "/run",
    "..": lambda top: "run/../run",
    "a trailing slash": lambda top: "run/",
    "an absolute path": lambda top: str(top / "run"),
    "doubled slashes": lambda top: f"{top}//.//run",
}


def _linked(link: Path, target: Path) -> str:
    link.symlink_to(target)
    return link.name


def by_another_name(folder: Path, name: str) -> None:
    child = held(folder)
    alias = ALIASES[name](folder)
    one_line(command(folder, "train", "--resume", alias), word="in use")
    one_line(command(folder, *run_words(alias)), word="holds a run already")
    ends_well(child, folder)


def resume_of_a_running(folder: Path) -> None:
    child = held(folder)
    one_line(command(folder, "train", "--resume", "run"), word=f"in use by process {child.number}")
    ends_well(child, folder)


def out_of_a_running(folder: Path) -> None:
    child = held(folder)
    one_line(command(folder, *run_words("run")))
    well(command(folder, "predict", "run", "--out", "p.npz"))
    well(command(folder, "report", "run", "--out", "report"))
    (folder / "p.npz").unlink()
    ends_well(child, folder)


def resume_of_a_suspended(folder: Path) -> None:
    child = held(folder)
    child.kill(signal.SIGSTOP)
    one_line(command(folder, "train", "--resume", "run"), word="in use")
    child.kill(signal.SIGCONT)
    ends_well(child, folder)


def stale_lock(folder: Path, text: str) -> None:
    """A lock that nobody holds is no obstacle, whatever it says: a recycled number, another host."""
    well(command(folder, *run_words("run", epochs=1)))
    (folder / "run" / LOCK).write_bytes(text.encode("latin-1"))
    well(command(folder, "train", "--resume", "run", "--epochs", "3"))
    assert end_of(folder / "run") == undisturbed()
    assert not (folder / "run" / LOCK).exists()


def read_only_lock(folder: Path) -> None:
    well(command(folder, *run_words("run", epochs=1)))
    (folder / "run" / LOCK).write_text("process 1 on here")
    (folder / "run" / LOCK).chmod(0o444)
    ended = command(folder, "train", "--resume", "run", "--epochs", "3")
    if ended.status:  # who is not root may not open it
        one_line(ended)
        (folder / "run" / LOCK).unlink()
        well(command(folder, "train", "--resume", "run", "--epochs", "3"))
    assert end_of(folder / "run") == undisturbed()


def exports(folder: Path) -> None:
    well(command(folder, *run_words("run")))
    words = ["export", "run", "--out", "one.npz"]
    for child in [Child(folder, lambda: main(words)) for _ in range(5)]:
        well(child.wait())
    well(command(folder, "predict", "one.npz"))
    tidy(folder)


def read_while_written(folder: Path) -> None:
    """report and predict of a run, again and again while it is written."""
    well(command(folder, *run_words("run", epochs=1)))
    child = Child(folder, lambda: main(["train", "--resume", "run", "--epochs", "40"]))
    reads = 0
    while os.waitid(os.P_PID, child.number, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None and reads < 6:
        well(command(folder, "predict", "run", "--out", "p.npz"))
        well(command(folder, "report", "run", "--out", "report"))
        reads += 1
    well(child.wait())
