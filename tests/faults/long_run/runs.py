"""Long runs in processes of their own, or in two ranks, and what they held early and at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from minilocal.parallel.launcher import leftovers
from minilocal.parallel.launcher.installed import mpiexec
from tests.faults.long_run.process import Held

WORK = Path(__file__).with_name("work.py")
ROOT = Path(__file__).parents[3]
TIME_LIMIT = 1800  # seconds


def held(case: str, steps: int, *options: str) -> list[tuple[Held, Held]]:
    """(early, at the end) of each process of a case. Raises: RuntimeError with the last lines of one that fails."""
    command = [sys.executable, str(WORK), case, str(steps), *options]
    if case == "ranks":
        command = [mpiexec(), "-n", "2", sys.executable, "-m", "mpi4py", *command[1:], "--threads", "1"]
    before = leftovers.present()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=TIME_LIMIT)
    leftovers.remove(before)
    if done.returncode:
        raise RuntimeError(f"{case}: status {done.returncode}: {done.stderr[-2000:]}")
    samples = [Held(**json.loads(line)) for line in done.stdout.splitlines()]
    by_process = {sample.pid: [each for each in samples if each.pid == sample.pid] for sample in samples}
    return [(early, last) for early, last in by_process.values()]
