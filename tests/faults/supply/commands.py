"""Every command that writes, at its smallest, in a folder of its own, watched by `watch/sitecustomize.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.helpers.small_run import words as small

ROOT = Path(__file__).parents[3]
LIMIT = 300.0  # seconds that a command has
NET = ("--net", "mlp", "--modules", "2", "--batch-size", "4")
GLL = ("simulate", *NET, "--rule", "gll")
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train", *small(optim__epochs=1), "--out", "new"),
    "train without --out": ("train", *small(optim__epochs=1)),
    "train --resume": ("train", "--resume", "run", "--epochs", "2"),
    "train --kernels numba": ("train", *small(optim__epochs=1), "--kernels", "numba", "--out", "new"),
    "train --processes 2": ("train", *small(optim__epochs=1), "--rule", "gll", "--processes", "2", "--out", "new"),
    "predict": ("predict", "run"),
    "predict --out": ("predict", "run", "--out", "new.npz"),
    "export": ("export", "run", "--out", "new.npz"),
    "report": ("report", "run", "--out", "new"),
    "sweep": ("sweep", *small(optim__epochs=1), "--set", "run.seed=0,1", "--out", "new"),
    "sweep --slurm": ("sweep", *small(optim__epochs=1), "--out", "cells", "--slurm", "new.sh"),
    "reproduce": ("reproduce", "memory-baselines", "--cells", "*-resnet32-bp-K2", "--out", "new"),
    "memory": ("memory", *NET, "--out", "new"),
    "simulate": (*GLL, "--json", "new.json", "--costs", "costs.json", "--gantt", "new.svg"),
    "data": ("data",),
    "data --sheet": ("data", "digits", "--sheet", "new.png"),
    "verify": ("verify", "--quick", "--only", "equations", "--out", "new.jsonl"),
    "locality": ("locality", "--net", "mlp", "--modules", "2", "--rule", "gll"),
    "bench": ("bench", "--what", "launches", "--quick", "--rule", "bp", "--out", "new.json"),
    "doctor": ("doctor",),
}  # fmt: skip
SLOW = ("train --kernels numba", "simulate", "verify", "doctor")  # some compile, some measure: with one umask only
SHORT = ("train", "predict --out", "sweep")


@dataclass(frozen=True)
class Seen:
    """What a command did: its status, what it said, the events of its processes, and the folder it worked in."""

    status: int
    output: str
    events: list[list[str]]
    top: Path


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder with a home, a place for temporary files, as /tmp is, and `work`, which the command runs in."""
    with tempfile.TemporaryDirectory(prefix="supply-") as name:
        top = Path(os.path.realpath(name))
        for part, mode in {"home": 0o700, "tmp": 0o1777, "work": 0o755}.items():
            (top / part).mkdir()
            (top / part).chmod(mode)
        yield top


def watched(top: Path, command: Sequence[str], *, umask: int = 0o022, defect: str = "") -> Seen:
    """`minilocal COMMAND` in top/work, as a user with this umask; with `defect`, one of defects.py.

    Where it speaks of a run called "run", that is trained first. Raises: RuntimeError where that fails.
    """
    if "run" in command and not (top / "work/run").exists():
        before = _started(top, (*COMMANDS["train"][:-1], "run"), umask, "")
        if before.returncode:
            raise RuntimeError(before.stderr)
    (top / "seen").unlink(missing_ok=True)
    process = _started(top, command, umask, defect)
    events = [json.loads(line) for line in (top / "seen").read_text().splitlines()]
    return Seen(process.returncode, process.stdout + process.stderr, events, top)


def _started(top: Path, command: Sequence[str], umask: int, defect: str) -> subprocess.CompletedProcess[str]:
    program = ("tests.faults.supply.defects", defect) if defect else ("minilocal",)
    return subprocess.run(
        [sys.executable, "-m", *program, *command], cwd=top / "work", env=environment(top), umask=umask, timeout=LIMIT,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
    )  # fmt: skip


def environment(top: Path) -> dict[str, str]:
    """The variables of a watched process: of this one's, nothing that says where files or settings are."""
    return {
        "PATH": os.environ["PATH"], "HOME": str(top / "home"), "TMPDIR": str(top / "tmp"), "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "watch"), str(ROOT)]),
        "PYTHONDONTWRITEBYTECODE": "1", "SUPPLY_SEEN": str(top / "seen"), "TQDM_DISABLE": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }  # fmt: skip
