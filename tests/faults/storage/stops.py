"""Signals at any time: the documented status, one line, no hang, and the run goes on to the same bits."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from minilocal.cli import main
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child, Ended
from tests.faults.storage.expect import one_line, well
from tests.faults.storage.intercept import Disk
from tests.faults.storage.small import end_of, goes_on, run_words, tidy, undisturbed

INT, TERM, HUP, QUIT, USR1 = (
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
)  # fmt: skip
SAVES = (INT, TERM, HUP, USR1)  # `minilocal train` finishes its step, saves, and ends with 128 + number
FILES = ("environment.json", "config.json", "metrics.jsonl", "checkpoint.npz")


def cases() -> Iterator[Case]:
    for number in (INT, TERM, HUP, USR1, QUIT):
        for where in PLACES:
            yield Case(f"{number.name} {where}", partial(in_a_run, number=number, where=where),
                       number in (INT, HUP) and where in ("in a step", "in an evaluation"))  # fmt: skip
        for file in FILES:
            yield Case(f"{number.name} in the fsync of {file}", partial(in_fsync, number=number, file=file),
                       number == TERM and file == "checkpoint.npz")  # fmt: skip
    for first in (INT, TERM):
        for where in PLACES:
            yield Case(f"{first.name} twice, {where}", partial(twice, number=first, where=where), where == "in a step")
        for file in FILES[2:]:
            yield Case(
                f"{first.name} twice, in the fsync of {file}", partial(in_fsync, number=first, file=file, times=2)
            )
    for where in PLACES:
        yield Case(f"SIGSTOP and SIGCONT {where}", partial(suspended, where=where), where == "in a step")
        yield Case(f"SIGHUP under nohup {where}", partial(under_nohup, where=where))
    yield Case("a run from Python has its signals back", signals_are_back)


@contextmanager
def patched(owner: Any, name: str, before: Callable[[], None]) -> Iterator[None]:
    """`before` is done ahead of each call of `owner.name`."""
    real = getattr(owner, name)

    def call(*arguments: Any, **options: Any) -> Any:
        before()
        return real(*arguments, **options)

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, real)


def place_of(name: str) -> tuple[Any, str, int]:
    """What is called there, and how many times before the one that is disturbed."""
    import minilocal.train.loop as loop
    from minilocal.learner import Learner
    from minilocal.record import RunFolder
    from minilocal.train.trainer import Trainer

    return {
        "before the first step": (loop.Loop, "run", 0),
        "in a step": (Learner, "step", 4),
        "in an evaluation": (Trainer, "_predict", 1),
        "in the last evaluation": (loop.Loop, "_add_convergence", 2),
        "between two epochs": (RunFolder, "save", 1),
    }[name]


PLACES = ("before the first step", "in a step", "in an evaluation", "in the last evaluation", "between two epochs")


def disturbed(folder: Path, where: str, act: Callable[[], None], words: list[str] | None = None) -> Child:
    """The small run; `act` is done in it, once, at that place."""
    owner, name, skip = place_of(where)
    seen: list[int] = []

    def before() -> None:
        seen.append(1)
        if len(seen) == skip + 1:
            act()

    def work() -> int:
        with patched(owner, name, before):
            return main(words or run_words("run"))

    return Child(folder, work)


def send(*numbers: int) -> Callable[[], None]:
    def act() -> None:
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.01)

    return act


def stopped_well(ended: Ended, number: int) -> None:
    """As docs/runs.md says: one line, and 128 + number; SIGQUIT is nobody's."""
    if number == QUIT:
        assert ended.status == -QUIT and "Traceback" not in ended.err, str(ended)
    else:
        one_line(ended, 128 + number)


def in_a_run(folder: Path, number: signal.Signals, where: str) -> None:
    ended = disturbed(folder, where, send(number)).wait()
    if ended.status == 0:  # after the last step there is nothing to stop
        assert end_of(folder / "run") == undisturbed() and where == "in the last evaluation", str(ended)
        return
    stopped_well(ended, number)
    if number != QUIT:
        tidy(folder)
        assert not (folder / "run/lock").exists()
        assert "Go on with" in ended.err or "nothing had been saved" in ended.err, ended.err
    goes_on(folder / "run")


def in_fsync(folder: Path, number: signal.Signals, file: str, times: int = 1) -> None:
    """In the second fsync of the file, where it has one."""
    wanted = 2 if file in FILES[2:] else 1
    seen: list[int] = []

    def before(name: str) -> None:
        if name == "fsync":
            names = [os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in _open_descriptors()]
            if any(name.startswith(file) for name in names):
                seen.append(1)
                if len(seen) == wanted:
                    send(*[number] * times)()

    def work() -> int:
        Disk(before=before).install()
        return main(run_words("run"))

    ended = Child(folder, work).wait()
    stopped_well(ended, number)
    if number != QUIT:
        tidy(folder)
    goes_on(folder / "run")


def _open_descriptors() -> list[str]:
    return [fd for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")]


def twice(folder: Path, number: signal.Signals, where: str) -> None:
    ended = disturbed(folder, where, send(number, number)).wait()
    one_line(ended, 128 + number)
    tidy(folder)
    goes_on(folder / "run")


def suspended(folder: Path, where: str) -> None:
    child = disturbed(folder, where, send(signal.SIGSTOP))
    os.waitid(os.P_PID, child.number, os.WSTOPPED | os.WNOWAIT)
    child.kill(signal.SIGCONT)
    well(child.wait())
    assert end_of(folder / "run") == undisturbed()


def under_nohup(folder: Path, where: str) -> None:
    def work() -> int:
        signal.signal(HUP, signal.SIG_IGN)
        owner, name, _ = place_of(where)
        with patched(owner, name, send(HUP)):
            return main(run_words("run"))

    well(Child(folder, work).wait())
    assert end_of(folder / "run") == undisturbed()


def signals_are_back(folder: Path) -> None:
    def work() -> int:
        before = [signal.getsignal(number) for number in SAVES]
        status = main(run_words("run"))
        return status or int([signal.getsignal(number) for number in SAVES] != before)

    well(Child(folder, work).wait())
