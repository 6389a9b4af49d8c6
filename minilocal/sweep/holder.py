"""A process by its machine, number and start, so that another process of that machine can see whether it has ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")  # of Slurm, PBS, LSF, Grid Engine


def this_process() -> dict[str, Any]:
    """Host, machine, process, its start, and the job that it is part of (None outside a batch system)."""
    job = next((os.environ[name] for name in JOBS if os.environ.get(name)), None)
    if job and (task := os.environ.get("SLURM_ARRAY_TASK_ID")):
        job = f"{os.environ.get('SLURM_ARRAY_JOB_ID', job)}_{task}"
    pid = os.getpid()
    return {"host": socket.gethostname(), "machine": _machine(), "process": pid, "start": _start(pid), "job": job}


def has_ended(process: Mapping[str, Any]) -> bool:
    """Whether a process of this machine has ended; False for one of another machine."""
    pid = process.get("process")
    if process.get("machine") != _machine() or not isinstance(pid, int) or not 0 < pid < 1 << 31:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's
    return _start(pid) != process.get("start")


@cache
def _machine() -> str:
    """The host, this boot of it, and the namespace of its process numbers."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _start(pid: int) -> int | None:
    """The clock tick at which a process began; None where the system does not say, -1 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return -1 if fields[0] in "ZX" else int(fields[19])
