"""A process of its own that does one thing at a time, when it is asked over a pipe.

Two engines in one process disturb each other: each has its own threads, and OpenBLAS's and OpenMP's go on spinning for
a while after a call. So every engine that is timed lives in a worker, idle until its turn, with its number of threads
set before NumPy or PyTorch is imported. A worker that crashes, or hangs, takes nobody with it.
"""

from __future__ import annotations

import importlib
import multiprocessing.connection as pipes
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]  # where `minilocal` is imported from
PATIENCE = 600.0  # seconds until an answer is given up


class WorkerError(RuntimeError):
    """What was asked failed in the worker; the text says how."""


def settings(threads: int) -> dict[str, str]:
    """The environment of a worker with so many threads, whose BLAS threads go to sleep soon after a call."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OPENBLAS_THREAD_TIMEOUT": "20"}  # 2^20 ticks, not 2^26


class Worker:
    """`Worker(threads).ask("package.module:function", key=value)` is that function's result over there.

    Arguments and results travel by pickle. `environ` is set before anything is imported there.
    """

    def __init__(self, threads: int = 1, environ: Mapping[str, str] | None = None) -> None:
        self._pipe, theirs = Pipe()
        path = os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH")]))
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "minilocal.bench.worker", str(theirs.fileno())],
            env={**os.environ, **settings(threads), **(environ or {}), "PYTHONPATH": path},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
        )
        theirs.close()
        self.alive = True

    def ask(self, what: str, *, patience: float = PATIENCE, **given: Any) -> Any:
        """The result of the function named "module:function", called over there with `given`.

        Raises: WorkerError when it raises, ends its process, or does not answer within `patience` seconds. After the
        last two the worker is gone.
        """
        if not self.alive:
            raise WorkerError("its process is gone")
        try:
            self._pipe.send((what, given))
            if not self._pipe.poll(patience):
                self.close(at_once=True)
                raise WorkerError(f"no answer within {patience:.0f} s: its process was ended")
            well, answer = self._pipe.recv()
        except (EOFError, ConnectionError):
            self.close(at_once=True)
            raise WorkerError(f"its process ended: {self._last_words()}") from None
        if not well:
            raise WorkerError(answer)
        return answer

    def close(self, at_once: bool = False) -> None:
        """Ends the process; it finishes what it is doing unless `at_once`."""
        self.alive = False
        self._pipe.close()
        if at_once:
            self._process.kill()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        self._said.seek(0)
        words = " ".join(self._said.read().decode(errors="replace").split())
        return words[-300:] or f"exit status {self._process.returncode}"

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *why: object) -> None:
        self.close(at_once=why[0] is not None)


class Pool:
    """Workers by name, each started when it is first asked for, and again when it has gone."""

    def __init__(self) -> None:
        self._workers: dict[Any, Worker] = {}

    def at(self, name: Any, threads: int = 1, environ: Mapping[str, str] | None = None) -> Worker:
        """The worker of this name."""
        worker = self._workers.get(name)
        if worker is None or not worker.alive:
            worker = self._workers[name] = Worker(threads, environ)
        return worker

    def close(self, at_once: bool = False) -> None:
        """Ends all of them."""
        for worker in self._workers.values():
            worker.close(at_once)
        self._workers.clear()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *why: object) -> None:
        self.close(at_once=why[0] is not None)


def serve(pipe: Any) -> None:
    """Answers what is asked until the other end is closed."""
    while True:
        try:
            what, given = pipe.recv()
        except EOFError:
            return
        try:
            module, _, function = what.partition(":")
            answer = True, getattr(importlib.import_module(module), function)(**given)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = " ".join(str(error).split())[:600]
            answer = False, f"{type(error).__name__}: {told} ({Path(where.filename).name}:{where.lineno})"
        with suppress(BrokenPipeError):
            pipe.send(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    serve(pipes.Connection(int(sys.argv[1])))
