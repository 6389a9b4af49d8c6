"""A few wrong command lines in processes of their own: they end as the forks did."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.faults.doors import check, desk
from tests.faults.doors.tables import Row

COUNT = 6
ROOT = Path(__file__).parents[3]


def failures(rows: Sequence[Row], folder: Path) -> list[str]:
    """A line for each of `COUNT` rows, evenly out of `rows`, that does not hold."""
    found, before = [], {"the folder": desk.content(folder)}
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    for row in rows[:: max(1, len(rows) // COUNT)][:COUNT]:
        command = [sys.executable, "-m", "minilocal", *shlex.split(row.what)]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
        problems = [] if ended.returncode == 2 else [f"status {ended.returncode}"]
        problems += check.message(ended.stderr.rstrip("\n"), row.remedy)
        problems += check.unchanged(before, {"the folder": desk.content(folder)})
        if problems:
            found.append(f"minilocal {row.what}, in a process: {'; '.join(problems)}")
    return found
