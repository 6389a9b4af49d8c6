"""Readers of what parallel ranks leave for each other in a private folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from minilocal.errors import UserError
from minilocal.parallel.launcher import launch, values
from minilocal.parallel.launcher.watch import Watch
from tests.faults.readers.reader import Reader, valid

LAUNCHER = "minilocal.parallel.launcher."


def results(folder: Path) -> Sequence[bytes]:
    kinds = ([1, 2.5, "a", None, True], {"a": (np.arange(3), np.float32(1))}, np.zeros((2, 2), "uint8"))
    contents = []
    for value in kinds:
        values.save(folder / "rank.0.result", value, "a result")
        contents.append((folder / "rank.0.result").read_bytes())
    return contents


def read_result(folder: Path) -> Sequence[str]:
    values.load(folder / "rank.0.result")
    return []


def notes(**facts: object) -> Callable[[Path], Sequence[bytes]]:
    def make(folder: Path) -> Sequence[bytes]:
        for number in range(2):
            (folder / f"process.{number}").write_text("1")
        (folder / "rank.1.returned").write_text("")
        return [json.dumps(facts).encode()]

    return make


def read_notes(folder: Path) -> Sequence[str]:
    """What the process that started the ranks says of them."""
    watch = Watch(folder, 2)
    shown = []
    for failure in (watch.failure(1), watch.deadlock()):
        if failure is not None:
            valid(isinstance(failure.kind, str) and isinstance(failure.message, str), "a failure of", failure)
            valid(isinstance(failure.traceback, str), "a traceback of", failure.traceback)
            shown.append(failure.message)
    try:
        launch._result(folder, 0)
    except UserError as error:
        shown.append(str(error))
    facts = watch.facts(0)
    valid(all(isinstance(value, str) for value in facts.values()), "facts are", facts)
    return [*shown, *facts.values()]


def processes(folder: Path) -> Sequence[bytes]:
    return [b"123456"]


def read_processes(folder: Path) -> Sequence[str]:
    watch = Watch(folder, 1)
    watch.look()
    watch.close()
    return []


READERS = (
    Reader("rank-result", "a result of a rank", "rank.0.result", results, read_result, "npz",
           (LAUNCHER + "values", "minilocal.data.member")),
    Reader("rank-error", "the error of a rank", "rank.0.error",
           notes(kind="user", message="no", traceback="", time=1.0), read_notes, "json",
           (LAUNCHER + "watch", LAUNCHER + "notes", LAUNCHER + "cause", LAUNCHER + "launch"), refuses=()),
    Reader("rank-facts", "the facts of a rank", "rank.0.facts", notes(modules="1-2", run="runs/a"),
           read_notes, "json", (LAUNCHER + "watch",), refuses=()),
    Reader("rank-waits", "where a rank waits", "rank.0.waits",
           notes(where="comm.Recv", traceback="a"), read_notes, "json",
           (LAUNCHER + "watch", LAUNCHER + "notes", LAUNCHER + "cause", LAUNCHER + "launch"), refuses=()),
    Reader("rank-process", "the process of a rank", "process.0", processes, read_processes, "text",
           (LAUNCHER + "watch", LAUNCHER + "notes", LAUNCHER + "cause", LAUNCHER + "launch"), refuses=()),
)  # fmt: skip
