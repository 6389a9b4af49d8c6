"""Workers on this machine: processes that run the same loop, each on its share of the cores, or on its GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

from minilocal.errors import UserError
from minilocal.parallel.launcher.command import OF_A_STARTER, THREADS
from minilocal.sweep.share import PARENT, threads_of
from minilocal.train.stop import Interrupted, StopRequest

POLL = 0.25  # seconds between two looks at the processes
STOPPED = 75  # the exit status of a worker that was stopped and has saved its run: EX_TEMPFAIL, "try again"


class Started(NamedTuple):
    """A worker's process, and what it prints."""

    process: subprocess.Popen[bytes]
    output: IO[bytes]


def run_workers(
    words: Sequence[str],
    jobs: int,
    devices: Sequence[str],
    request: StopRequest,
    on_poll: Callable[[], None],
    threads: int = 0,
) -> list[str]:
    """Start `jobs` workers, `minilocal WORDS`, and wait for their end; return their warnings, and why one ended early.

    Worker i has device i of `devices`, again from the first when there are more workers. Each has `threads` threads,
    0 for its share of the cores. A stop is passed on once, as SIGTERM: each worker saves its run and gives its claim
    back.

    Raises: UserError where a worker was refused; Interrupted after a stop.
    """
    workers: list[Started] = []
    number = threads or threads_of(jobs)
    with ExitStack() as outputs:
        try:
            for i in range(jobs):
                options = ["--device", devices[i % len(devices)]] if devices else []
                output = outputs.enter_context(tempfile.TemporaryFile())
                workers.append(_start([*words, *options, "--jobs", "1", "--threads", str(number)], number, output))
            while any(worker.process.poll() is None for worker in workers) and not request.stop:
                on_poll()
                time.sleep(POLL)
        finally:
            for worker in workers:
                if worker.process.poll() is None:
                    worker.process.send_signal(signal.SIGTERM)
            for worker in workers:
                worker.process.wait()
            on_poll()
        lines = list(dict.fromkeys(line for worker in workers for line in _problems(worker)))
    if request.stop:
        raise Interrupted("", request.number)
    return lines


def settings(machine: Mapping[str, Any]) -> list[str]:
    """The keys of [run] that all workers have alike, as flags. `run_workers` adds the device and threads of each."""
    keys = {key: value for key, value in machine.items() if key not in ("run.device", "run.threads")}
    return [f"--set={key}={str(value).lower()}" for key, value in keys.items()]


def _start(words: Sequence[str], threads: int, output: IO[bytes]) -> Started:
    """Start a worker, whose warnings go to `output`.

    It is in its own session: a terminal's Ctrl-C reaches it once, from here.
    """
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
    env = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_STARTER)}
    env = {**dict.fromkeys(THREADS, str(threads)), **env, "PYTHONPATH": path, PARENT: str(os.getpid())}
    process = subprocess.Popen(
        [sys.executable, "-m", "minilocal", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=output,
        env=env,
        start_new_session=True,
    )
    return Started(process, output)


def _problems(worker: Started) -> list[str]:
    """What a worker warned of, and why it ended before its time, if it did.

    Raises: UserError with the message of a worker that was refused.
    """
    worker.output.seek(0)
    lines = worker.output.read().decode(errors="replace").splitlines()
    status = worker.process.returncode
    if status == 2 and lines:
        raise UserError(lines[-1].removeprefix("minilocal: "))
    problems = [line.removeprefix("minilocal: ") for line in lines if line.startswith("minilocal: warning: ")]
    if status < 0:
        problems.append(f"a worker was ended by {signal.Signals(-status).name}")
    elif status not in (0, 1, STOPPED) or "Traceback (most recent call last):" in lines:
        problems.append(f"a worker ended with status {status}: {lines[-1] if lines else ''}")
    return problems
