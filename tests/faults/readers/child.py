"""The process that reads mutated files: bounded, watched, and easily replaced when one of them kills it."""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import re
import resource
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NoReturn

from tests.faults.readers.audit import watched
from tests.faults.readers.mutations import mutated
from tests.faults.readers.reader import LARGEST, Reader
from tests.faults.readers.trial import STATUS, Trial, Verdict

ADDRESSES = 1 << 30  # bytes that a child may take beyond those that it begins with
KEPT = 4096  # inputs of the corpus


class TooLong(BaseException):
    """An input was read for more than its time: no reader catches this."""


class Desk:
    """What a child tells while it works, in memory that outlives it: the input that is being read, and counts."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 4 * 8 + LARGEST)

    def put(self, place: int, number: int) -> None:
        self._memory[8 * place : 8 * place + 8] = number.to_bytes(8, "little")

    def get(self, place: int) -> int:
        return int.from_bytes(self._memory[8 * place : 8 * place + 8], "little")

    def begin(self, number: int, content: bytes) -> None:
        """The input of this number is read from now on."""
        self._memory[32 : 32 + len(content)] = content
        self.put(1, len(content))
        self.put(0, number)

    @property
    def number(self) -> int:
        """Of the last input that was begun."""
        return self.get(0)

    @property
    def content(self) -> bytes:
        return bytes(self._memory[32 : 32 + self.get(1)])

    @property
    def refused(self) -> int:
        return self.get(2)


@dataclass(frozen=True)
class Task:
    """What a child does: inputs `first` to `last` of a seed, or those that are given, until a time.

    `top` is a folder of its own.
    """

    reader: Reader
    top: Path
    seed: int
    first: int
    last: int
    until: float
    hangs: float
    contents: Sequence[bytes] = ()


def fork(task: Task, seeds: Sequence[bytes], desk: Desk) -> int:
    """A child that does it; its number."""
    if (child := os.fork()) == 0:
        _in_the_child(task, seeds, desk)
    return child


def _in_the_child(task: Task, seeds: Sequence[bytes], desk: Desk) -> NoReturn:
    status = 99
    try:
        os.setsid()
        faulthandler.disable()
        warnings.simplefilter("ignore")  # of the changes; the judge looks at those of the readers
        printed = task.top / "printed"
        descriptor = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (1, 2):
            os.dup2(descriptor, number)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        os.chdir(task.top / "folder")
        result = re.search(r"VmSize:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
        if result:
            limit = (int(result[1]) << 10) + ADDRESSES
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, _too_long)
        _work(task, seeds, desk, Trial(task.reader, task.top / "folder", watched(), printed))
        status = 0
    except BaseException:
        (task.top / "trouble").write_text(traceback.format_exc())
    finally:
        os._exit(status)


def _too_long(*_: object) -> NoReturn:
    raise TooLong


def _work(task: Task, seeds: Sequence[bytes], desk: Desk, trial: Trial) -> None:
    known: set[object] = set()
    for content in seeds:
        trial(content)  # once more: libraries import on first use
        verdict = trial(content)
        known |= verdict.steps
        if verdict.refused and not task.reader.refuses_all:
            verdict.wrong.append("a valid file is refused")
        report(task.top, -1, content, verdict)
    earlier = sorted((task.top / "corpus").iterdir(), key=lambda path: int(path.name))
    corpus = [*seeds, *(path.read_bytes() for path in earlier)]
    for content in corpus[len(seeds) :]:
        desk.begin(task.first, content)
        known |= tried(trial, content, task.hangs).steps
    for number in range(task.first, task.last):
        if time.monotonic() > task.until:
            break
        rng = Random(f"{task.seed} {number}")
        content = task.contents[number] if task.contents else mutated(rng, task.reader.form, corpus)
        desk.begin(number, content)
        verdict = tried(trial, content, task.hangs)
        desk.put(2, desk.refused + verdict.refused)
        if not task.contents and not verdict.steps <= known and len(corpus) < KEPT:
            known |= verdict.steps
            corpus.append(content)
            (task.top / "corpus" / str(number)).write_bytes(content)
        if verdict.wrong:
            report(task.top, number, content, verdict)
        desk.put(3, number + 1)


def tried(trial: Trial, content: bytes, hangs: float) -> Verdict:
    """The verdict; after `hangs` seconds of computing the input is given up."""
    signal.setitimer(signal.ITIMER_PROF, hangs)
    try:
        return trial(content)
    except TooLong:
        trial.watch.end()
        sys.settrace(None)
        where = traceback.format_exc().splitlines()[-3:-1]
        return Verdict(wrong=[f"has no end after {hangs:g} s ({' '.join(' '.join(where).split())[-150:]})"])
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def report(top: Path, number: int, content: bytes, verdict: Verdict) -> None:
    """Add what is wrong to the findings, one file each."""
    for line in verdict.wrong:
        name = top / "findings" / f"{len(list((top / 'findings').iterdir())):06d}"
        name.write_text(json.dumps({"input": number, "wrong": line, "content": content.hex()}))
