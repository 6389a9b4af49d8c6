"""Several commands at a time: as many as there are cores, each in a process of its own."""

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

PAUSE = 0.1  # seconds between two looks at the processes


class Process(NamedTuple):
    """A command under way."""

    command: Sequence[str]
    process: subprocess.Popen[bytes]


def width(runs: int) -> int:
    """How many of so many runs go on at once."""
    return min(runs, available())


def together(commands: Sequence[Sequence[str]], meanwhile: Callable[[], None]) -> None:
    """Runs these commands, each what stands after `minilocal`, in order; calls `meanwhile` until all have ended.

    Ctrl-C and SIGTERM reach every run that is under way once, so that it saves what it has; so does any error here.

    Raises: UserError for what a run was refused for; Interrupted.
    """
    waiting, running = deque(commands), list[Process]()
    with stop_on_signal() as wish:
        try:
            while waiting or running:
                while waiting and len(running) < available():
                    running.append(_start(waiting.popleft()))
                for one in [one for one in running if one.process.poll() is not None]:
                    running.remove(one)
                    _check(one)
                meanwhile()
                if wish.stop:
                    raise Interrupted()
                time.sleep(PAUSE)
        finally:
            for one in running:
                one.process.send_signal(signal.SIGINT)
            for one in running:
                one.process.wait()


def _start(command: Sequence[str]) -> Process:
    """In a session of its own: a terminal's Ctrl-C comes from us, and once."""
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
    """Raises what ended a process early."""
    if status := ended.process.returncode:
        said = ended.process.communicate()[1].decode(errors="replace").strip()
        if status == 2:
            raise UserError(said.splitlines()[-1].removeprefix("minilocal: "))
        raise RuntimeError(f"minilocal {' '.join(ended.command)} ended with status {status}:\n{said}")
