"""Signals while a command imports, in other commands than train, in a finaliser; output that is closed or full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from minilocal.cli import main
from tests.faults.storage.case import Case
from tests.faults.storage.child import Child, command, started
from tests.faults.storage.expect import one_line, well
from tests.faults.storage.intercept import Disk
from tests.faults.storage.small import end_of, goes_on, run_words, tidy, undisturbed
from tests.faults.storage.stops import HUP, INT, TERM, USR1, patched, place_of, send
from tests.faults.storage.vanishing import sweep_words


def cases() -> Iterator[Case]:
    for number in (INT, TERM, HUP):
        for after in AT_IMPORT:
            yield Case(f"{number.name} {after} s after the start", partial(at_import, number=number, after=after))
        for name in OTHERS:
            for after in (0.3, 1.2):
                yield Case(
                    f"{number.name} in {name} after {after} s",
                    partial(in_another, number=number, name=name, after=after),
                )
        yield Case(f"{number.name} in a sweep", partial(in_a_sweep, number=number), number == TERM)
        yield Case(f"{number.name} in a report's writing", partial(in_a_write, number=number), number == INT)
    for words in ("train", "report", "data", "verify", "memory"):
        yield Case(f"{words} into a pipe that is closed", partial(closed_pipe, words=words), words == "report")
    yield Case("train to a full standard output", full_output, True)
    for number in (INT, TERM, HUP, USR1):
        yield Case(f"{number.name} in a finaliser", partial(in_a_finaliser, number=number), number == TERM)


AT_IMPORT = (0.02, 0.08, 0.15, 0.25, 0.35, 0.5)  # seconds after the start


def at_import(folder: Path, number: signal.Signals, after: float) -> None:
    """In a new Python: before its own start ends, Python's usual end of that signal."""
    process = started(folder, run_words("run"), {}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(after)
    process.send_signal(number)
    try:
        _, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise AssertionError("hangs") from None
    early = process.returncode == -number or b"minilocal" not in err  # while Python itself starts
    statuses = (0, 128 + number, -number, *([1] if early else []))
    assert process.returncode in statuses, f"{process.returncode}: {err[-300:]!r}"
    assert early or b"Traceback" not in err, err[-300:]
    goes_on(folder / "run")


OTHERS = {
    "bench": ["bench", "--what", "steps", "--quick", "--rule", "bp", "--rounds", "50", "--out", "b.json"],
    "verify": ["verify", "--only", "rules"],
    "reproduce": ["reproduce", "memory-baselines", "--out", "r"],
    "memory": ["memory", "--net", "resnet110", "--out", "m"],
    "simulate": ["simulate", "--net", "resnet32", "--costs", "c.json"],
    "explorer": ["explorer", "--net", "resnet32", "--out", "e.html"],
    "locality": ["locality"],
    "demo": ["demo", "--epochs", "50", "--out", "d"],
}


def in_another(folder: Path, number: signal.Signals, name: str, after: float) -> None:
    child = Child(folder, lambda: main(OTHERS[name]))
    time.sleep(after)
    child.kill(number)
    ended = child.wait()
    if ended.status != 0:  # it had ended
        one_line(ended, 128 + number, within=after + 60)
    tidy(folder)
    if (folder / "c.json").exists():
        json.loads((folder / "c.json").read_text())
    left = _children_of_this_folder(folder)
    assert not left, f"processes that go on: {left}"


def _children_of_this_folder(folder: Path) -> list[int]:
    """Processes that still work in the folder, after a while."""

    def working() -> list[int]:
        numbers = []
        for number in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{number}/cwd") == str(folder):
                    numbers.append(int(number))
            except OSError:
                continue
        return numbers

    end = time.perf_counter() + 10
    while (left := working()) and time.perf_counter() < end:
        time.sleep(0.05)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return left


def in_a_sweep(folder: Path, number: signal.Signals) -> None:
    owner, name, skip = place_of("in a step")
    seen: list[int] = []

    def before() -> None:
        seen.append(1)
        if len(seen) == skip:
            send(number)()

    def work() -> int:
        with patched(owner, name, before):
            return main(sweep_words("sweep"))

    ended = Child(folder, work).wait()
    assert "Traceback" not in ended.err and ended.status in (75, 128 + number), str(ended)
    assert not list(folder.glob("sweep/*/claim")) and not list(folder.glob("sweep/*/lock")), "a mark is left"
    tidy(folder)
    well(command(folder, *sweep_words("sweep")))
    assert sum(end_of(file.parent) == undisturbed() for file in folder.glob("sweep/*/done")) == 1


def in_a_write(folder: Path, number: signal.Signals) -> None:
    """In each fsync of `report` and of `export`: no half file, and what was there stays."""
    well(command(folder, *run_words("run", epochs=1)))
    for words in (["report", "run", "--out", "report"], ["export", "run", "--out", "e.npz"]):
        for nth in (1, 2, 3):
            seen: list[int] = []

            def before(name: str, nth: int = nth, seen: list[int] = seen) -> None:
                seen.append(1)
                if len(seen) == nth:
                    send(number)()

            def work(words: list[str] = words, before: Callable[[str], None] = before) -> int:
                Disk(which=("fsync",), before=before).install()
                return main(words)

            ended = Child(folder, work).wait()
            if ended.status:
                one_line(ended, 128 + number)
            tidy(folder)


def closed_pipe(folder: Path, words: str) -> None:
    """As `minilocal ... | head -1`."""
    well(command(folder, *run_words("run", epochs=1)))
    asked = {
        "train": run_words("other"),
        "report": ["report", "run"],
        "data": ["data"],
        "verify": ["verify", "--only", "equations", "--quick"],
        "memory": ["memory", "--net", "mlp", "--modules", "2"],
    }[words]
    process = started(folder, asked, {"PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(5)
    process.stdout.close()
    err = process.stderr.read()
    status = process.wait(60)
    assert b"Traceback" not in err and b"Exception ignored" not in err, err[-300:]
    assert status in (0, 1), f"{status}: {err!r}"
    tidy(folder)
    if words == "train":
        goes_on(folder / "other")


def full_output(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        process = started(folder, run_words("run"), {}, stdout=full, stderr=subprocess.PIPE)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and err.count(b"\n") == 1 and b"no space" in err, (process.returncode, err[-300:])
    goes_on(folder / "run")


class Ending:
    """Gets a signal while it is removed: an exception there would be printed and dropped."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.kill(os.getpid(), self.number)
        time.sleep(0.001)


def in_a_finaliser(folder: Path, number: signal.Signals) -> None:
    def states(data_dir: str | None) -> Any:
        Ending(number)
        time.sleep(30)

    def work() -> int:
        from minilocal.cli import data as command_of_data

        command_of_data.states = states
        return main(["data"])

    one_line(Child(folder, work).wait(), 128 + number)
