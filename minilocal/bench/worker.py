"""Worker processes: one engine each, idle until it is asked to call a function.

Two engines in one process slow each other down: each has its own threads, and those of OpenBLAS and OpenMP spin for a
while after a call. So every timed engine has a process of its own, whose number of threads is set before NumPy or
PyTorch is imported. A worker that crashes or hangs affects no other.
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
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]  # where `minilocal` is imported from
TIMEOUT = 600.0  # seconds without an answer, after which a worker is killed
NO_ANSWER = "no answer within"  # how the error begins then


class WorkerError(RuntimeError):
    """A call failed in the worker; the text says how."""


def thread_settings(threads: int) -> dict[str, str]:
    """The environment of a worker with this number of threads, whose BLAS threads sleep soon after a call."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return {**dict.fromkeys(names, str(threads)), "OPENBLAS_THREAD_TIMEOUT": "20"}  # 2^20 ticks, not 2^26


def resolve(function: str) -> Callable[..., Any]:
    """The function that "package.module:function" names."""
    module, _, name = function.partition(":")
    resolved: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return resolved


class Worker:
    """A process: `Worker(threads).ask("package.module:function", key=value)` calls the function in it.

    Arguments and results travel by pickle. `environ` is set before the process imports anything.
    """

    def __init__(self, threads: int = 1, environ: Mapping[str, str] | None = None) -> None:
        self._pipe, worker_end = Pipe()
        path = os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH")]))
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "minilocal.bench.worker", str(worker_end.fileno())],
            env={**os.environ, **thread_settings(threads), **(environ or {}), "PYTHONPATH": path},
            pass_fds=[worker_end.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )
        worker_end.close()
        self.alive = True

    def ask(self, function: str, *, timeout: float = TIMEOUT, **arguments: Any) -> Any:
        """The result of "package.module:function", called in the process with `arguments`.

        Raises: WorkerError when the function raises, its process ends, or `timeout` seconds pass. After the last two
        the worker is gone.
        """
        if not self.alive:
            raise WorkerError("its process is gone")
        try:
            self._pipe.send((function, arguments))
            if not self._pipe.poll(timeout):
                self.close(at_once=True)
                raise WorkerError(f"{NO_ANSWER} {timeout:.0f} s: its process was ended")
            succeeded, result = self._pipe.recv()
        except (EOFError, ConnectionError):
            self.close(at_once=True)
            raise WorkerError(f"its process ended: {self._last_output()}") from None
        if not succeeded:
            raise WorkerError(result)
        return result

    def close(self, at_once: bool = False) -> None:
        """End the process, after the call that it is in unless `at_once`."""
        self.alive = False
        self._pipe.close()
        if at_once:
            self._process.kill()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_output(self) -> str:
        self._output.seek(0)
        text = " ".join(self._output.read().decode(errors="replace").split())
        return text[-300:] or f"exit status {self._process.returncode}"

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close(at_once=exception[0] is not None)


class WorkerPool:
    """Workers by key, each started at its first use, and again when it is gone."""

    def __init__(self) -> None:
        self._workers: dict[Any, Worker] = {}

    def worker(self, key: Any, threads: int = 1, environ: Mapping[str, str] | None = None) -> Worker:
        """The live worker of this key."""
        worker = self._workers.get(key)
        if worker is None or not worker.alive:
            worker = self._workers[key] = Worker(threads, environ)
        return worker

    def close(self, at_once: bool = False) -> None:
        """End every worker."""
        for worker in self._workers.values():
            worker.close(at_once)
        self._workers.clear()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close(at_once=exception[0] is not None)


def serve(pipe: Any) -> None:
    """Answer the calls that come through the pipe, until its other end is closed."""
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, resolve(function)(**arguments)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            message = " ".join(str(error).split())[:600]
            answer = False, f"{type(error).__name__}: {message} ({Path(frame.filename).name}:{frame.lineno})"
        with suppress(BrokenPipeError):
            pipe.send(answer)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    serve(pipes.Connection(int(sys.argv[1])))
