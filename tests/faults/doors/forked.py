"""Work in a child that is forked from a process with everything imported: what it printed, its status, its seconds."""

from __future__ import annotations

import importlib
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from minilocal.cli import COMMANDS, main

HANGS = 30.0  # seconds of the clock, after which a child is killed: other work may disturb
KILLED = -signal.SIGKILL
MEMORY = 2 << 30  # bytes of addresses above this process's, so that a size taken from a word cannot fill the machine
LIBRARIES = (
    "matplotlib.figure", "minilocal.train", "minilocal.verify", "minilocal.bench", "minilocal.explorer",
    "minilocal.reproduce", "minilocal.report", "minilocal.sweep", "minilocal.locality", "minilocal.memory",
)  # fmt: skip


class Ended:
    """How a child ended. `seconds` are those that it computed, which other processes do not lengthen."""

    def __init__(self, status: int, out: str, err: str, seconds: float) -> None:
        self.status, self.out, self.err, self.seconds = status, out, err, seconds

    def __repr__(self) -> str:
        return f"status {self.status}, {self.seconds:.1f} s, {self.err[-300:]!r}"


def warm() -> None:
    """Import what commands import when they are called: it would be counted with every child."""
    for name in COMMANDS:
        importlib.import_module(f"minilocal.cli.{name}").parser()
    for name in LIBRARIES:
        importlib.import_module(name)


def addresses() -> int:
    """Bytes of addresses that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def fork(work: Callable[[], int], folder: Path, hangs: float = HANGS) -> Ended:
    """`work()` in a child whose working folder is `folder`, without a network; KILLED after `hangs` seconds."""
    files = [os.memfd_create(name) for name in ("out", "err")]
    if (child := os.fork()) == 0:
        _in_the_child(work, folder, files)
    until = time.monotonic() + hangs
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.002)
    texts = []
    for file in files:
        os.lseek(file, 0, os.SEEK_SET)
        with open(file, "rb") as stream:
            texts.append(stream.read().decode(errors="replace"))
    return Ended(os.waitstatus_to_exitcode(status), texts[0], texts[1], used.ru_utime + used.ru_stime)


def command(words: Sequence[str], folder: Path, hangs: float = HANGS) -> Ended:
    """`minilocal WORDS` in `folder`."""
    return fork(lambda: main(words), folder, hangs)


def _in_the_child(work: Callable[[], int], folder: Path, files: Sequence[int]) -> NoReturn:
    status = 99
    os.setsid()  # so that what it starts is ended with it
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, file in enumerate(files, 1):
            os.dup2(file, number)
        sys.stdout, sys.stderr = (open(number, "w", closefd=False) for number in (1, 2))  # noqa: SIM115
        limit = addresses() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        os.chdir(folder)
        os.environ.update(HOME=str(folder), XDG_CACHE_HOME=str(folder / "cache"), COLUMNS="80")
        socket.socket.connect = _no_network  # type: ignore[method-assign]
        status = work()
    except BaseException:
        traceback.print_exc()
        status = 99
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _no_network(*_: Any) -> NoReturn:
    raise ConnectionRefusedError("there is no network in these cases")
