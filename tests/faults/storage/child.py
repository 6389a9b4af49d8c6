"""Work in a process of its own, with a time limit: forked from this one, that has imported everything, or a new Python.

What the process prints goes into files, so that no full pipe can stop it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from minilocal.cli import main
from minilocal.signals import STOPS

ROOT = Path(__file__).parents[3]
LIMIT = 90.0  # seconds of a case on a loaded machine; the same work takes some tenths on a quiet one
KILLED = -int(signal.SIGKILL)
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a process ended: its status, minus a signal's number where one killed it, and what it printed."""

    status: int
    out: str
    err: str
    seconds: float

    def __str__(self) -> str:
        last = " / ".join(self.err.strip().splitlines()[-2:])
        return f"status {self.status} after {self.seconds:.1f} s, {last[-300:]!r}"


class Child:
    """`work` in a forked process, in `folder`; its streams are files beside it."""

    running: ClassVar[dict[int, Child]] = {}  # by process number: those that nobody has waited for

    def __init__(self, folder: Path, work: Callable[[], Any], environment: Mapping[str, str | None] | None = None):
        self.began = time.perf_counter()
        self.files = [folder.parent / f"{folder.name}.{name}.{next(_numbers)}" for name in ("out", "err")]
        self.number = os.fork()
        if self.number == 0:
            _be(folder, self.files, work, environment or {})
        self.running[self.number] = self

    def kill(self, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.number, number)

    def wait(self, limit: float = LIMIT) -> Ended:
        """How it ended; a process that is alive after `limit` seconds is killed, which its status says."""
        end = time.perf_counter() + limit
        while (ended := os.waitpid(self.number, os.WNOHANG)) == (0, 0):
            if time.perf_counter() > end:
                self.kill()
                ended = os.waitpid(self.number, 0)
                break
            time.sleep(0.005)
        del self.running[self.number]
        out, err = (file.read_text(errors="replace") for file in self.files)
        for file in self.files:
            file.unlink()
        return Ended(os.waitstatus_to_exitcode(ended[1]), out, err, time.perf_counter() - self.began)


def end_all() -> None:
    """Kill the children that nobody has waited for, suspended ones too: a case that fails leaves some."""
    while Child.running:
        number, child = Child.running.popitem()
        child.kill()
        os.waitpid(number, 0)
        for file in child.files:
            file.unlink(missing_ok=True)


def forked(folder: Path, work: Callable[[], Any], limit: float = LIMIT) -> Ended:
    """`work` in a forked process: its result is the status, 0 for None; an exception is a traceback and status 1."""
    return Child(folder, work).wait(limit)


def command(folder: Path, *words: str, **environment: str | None) -> Ended:
    """`minilocal WORDS` in a forked process."""
    return Child(folder, lambda: main(list(words)), environment).wait()


def python(folder: Path, *words: str | bytes, **environment: str | None) -> Ended:
    """`python -m minilocal WORDS` in a new Python."""
    process = started(folder, words, environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    began = time.perf_counter()
    try:
        out, err = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    seconds = time.perf_counter() - began
    return Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), seconds)


def started(
    folder: Path, words: Sequence[str | bytes], environment: Mapping[str, str | None], **streams: Any
) -> subprocess.Popen[bytes]:
    """`python -m minilocal WORDS`, running."""
    env = {**os.environ, **ENVIRONMENT}
    for name, value in environment.items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    streams.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([sys.executable, "-m", "minilocal", *words], cwd=folder, env=env, **streams)


def _be(folder: Path, files: list[Path], work: Callable[[], Any], environment: Mapping[str, str | None]) -> None:
    """Be that process, and end."""
    status: Any = 1
    try:
        for target, file in zip((1, 2), files, strict=True):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), target)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (it lives as long as the process)
        sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        for number in STOPS:  # as in a new Python
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        os.chdir(folder)
        status = work()
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(int(status or 0))


def _count() -> Any:
    number = 0
    while True:
        yield number
        number += 1


_numbers = _count()
