"""Commands in parallel: one process on each core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import minilocal
from minilocal.errors import UserError
from minilocal.kernels.threads import available
from minilocal.train.stop import Interrupted, stop_on_signal

PAUSE = 0.1  # seconds between two polls of the processes


class Process(NamedTuple):
    """A running command."""

    command: Sequence[str]
    process: subprocess.Popen[bytes]


def width(runs: int) -> int:
    """The number of `runs` that run at the same time."""
    return min(runs, available())


def run_all(commands: Sequence[Sequence[str]], on_poll: Callable[[], None]) -> None:
    """Run the commands, each the words after `minilocal`, in order; call `on_poll` until all have ended.

    Ctrl-C, SIGTERM and any error here send SIGINT to every running process once, so that it saves its checkpoint.

    Raises: UserError with the message of a run that was refused; Interrupted.
    """
    queue, running = deque(commands), list[Process]()
    with stop_on_signal() as request:
        try:
            while queue or running:
                while queue and len(running) < available():
                    running.append(_start(queue.popleft()))
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    _check(one)
                on_poll()
                if request.stop:
                    raise Interrupted("", request.number)
                time.sleep(PAUSE)
        finally:
            for one in running:
                one.process.send_signal(signal.SIGINT)
            for one in running:
                one.process.wait()


def _start(command: Sequence[str]) -> Process:
    """Start a command in its own session, so that it gets a terminal's Ctrl-C once, from here."""
    path = os.pathsep.join(filter(None, (str(Path(minilocal.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "minilocal", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    return Process(command, process)


def _check(ended: Process) -> None:
    """Raise the error of a process that failed."""
    if status := ended.process.returncode:
        output = ended.process.communicate()[1].decode(errors="replace").strip()
        if status == 2:
            raise UserError(output.splitlines()[-1].removeprefix("minilocal: "))
        raise RuntimeError(f"minilocal {' '.join(ended.command)} ended with status {status}:\n{output}")
