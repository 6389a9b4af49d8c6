"""Tests in a fork of this process, which has imported what they need besides the package itself.

An import of pytest, JAX, SciPy and Hypothesis takes seconds; most mutants are killed within one.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

IMPORTED = ("pytest", "_pytest.assertion.rewrite", "hypothesis", "hypothesis.extra.numpy", "jax", "scipy.stats")
MEMORY = 6 << 30
"""Bytes that a process may take: a mutated size must not take the machine's memory."""


@dataclass(frozen=True)
class Ended:
    """How a fork ended: its status, or the number of its signal below zero; None where its time was up."""

    status: int | None
    seconds: float


def warm() -> None:
    """Imports what all tests import. The package is not among it: each fork imports its own, mutated one."""
    for name in IMPORTED:
        import_module(name)


def in_a_fork(folder: Path, task: Callable[[], int], cpu: float, log: Path) -> Ended:
    """`task()` in a fork whose repository is `folder`, for `cpu` seconds of its CPU time.

    CPU time is what a busy machine does not change. A fork that waits for ever is ended after ten times as long.
    """
    start = time.perf_counter()
    if (child := os.fork()) == 0:
        status = 99
        try:
            _prepare(folder, cpu, log)
            status = int(task())
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    deadline = start + 10 * cpu + 60
    while True:
        ended, wait_status = os.waitpid(child, os.WNOHANG)
        timed_out = time.perf_counter() > deadline
        if ended or timed_out:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # and what it started
            if not ended:
                os.waitpid(child, 0)
            status = os.waitstatus_to_exitcode(wait_status)
            if timed_out or status in (-signal.SIGXCPU, -signal.SIGPROF, -signal.SIGKILL):
                return Ended(None, time.perf_counter() - start)
            return Ended(status, time.perf_counter() - start)
        time.sleep(0.01)


def _prepare(folder: Path, cpu: float, log: Path) -> None:
    """The fork's own process group, limits, output, and place of the package."""
    os.setpgrp()  # not a session: that would have a scheduling group of its own, whose priority is the usual one
    limit = int(cpu) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("tests", "minilocal")]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(path for path in sys.path if path and not (Path(path) / "minilocal").is_dir())]
    os.environ |= {"PYTHONPATH": str(folder), "OPENBLAS_NUM_THREADS": "1", "TQDM_DISABLE": "1", "MPLBACKEND": "Agg"}
