"""A Slurm array script whose tasks run the same loop. It is written, never submitted."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from minilocal import record
from minilocal.errors import UserError, check_file
from minilocal.record.files import os_errors_explained
from minilocal.sweep.workers import STOPPED

LARGEST = 1000  # tasks: Slurm's own limit on array indices is 1000 by default
MARK = "# A minilocal sweep"


def script(path: Path, words: Sequence[str], tasks: int, at_once: int, *, gpu: bool = False, threads: int = 0) -> str:
    """The script that drains the sweep in `path` by `minilocal WORDS`, with `tasks` tasks, `at_once` at a time.

    Slurm sends SIGUSR1 two minutes before the time limit; a task then saves its run, gives its claim back, ends with
    status 75 and is requeued. A preempted one gets SIGTERM, and does the same.
    """
    command = shlex.join([sys.executable, "-m", "minilocal", *words])
    tasks = max(1, min(tasks, LARGEST))
    name = re.sub(r"[^\w.-]", "_", path.name)
    log = re.sub("%", "%%", str(path.absolute())) + "/slurm-%A_%a.log"
    needs = [f"#SBATCH --cpus-per-task={threads}"] * (threads > 0) + ["#SBATCH --gpus-per-task=1"] * gpu
    return "\n".join(
        [
            "#!/bin/bash",
            f"{MARK}. Submit: sbatch --time=4:00:00 FILE, with your partition and account as your site asks for them.",
            f"#SBATCH --job-name={name} --ntasks=1 --open-mode=append --output={shlex.quote(log)}",
            f"#SBATCH --array=1-{tasks}%{max(1, min(at_once, tasks))} --requeue --signal=B:USR1@120",
            *needs,
            f"cd {shlex.quote(str(Path.cwd()))} || exit 2",
            f"{command} & child=$!",
            "trap 'kill -USR1 $child' USR1 TERM",
            "while wait $child; status=$?; kill -0 $child 2>/dev/null; do :; done",
            f'[ $status -ne {STOPPED} ] || scontrol requeue "$SLURM_JOB_ID"',
            "exit $status",
            "",
        ]
    )


def write(file: Path, text: str) -> None:
    """Write the script. Raises: UserError where another file is in the way, or it cannot be written."""
    check_file(file)
    with os_errors_explained(file):
        if file.exists() and MARK not in file.read_text(errors="replace"):
            raise UserError(f"--slurm {file}: that file is not a sweep's script. Give another name.")
        file.parent.mkdir(parents=True, exist_ok=True)
    with record.atomic_write(file) as out:
        out.write(text.encode())
