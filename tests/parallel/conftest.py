"""MPI's ranks for tests: a script of this folder in several processes, which says what went wrong.

Ranks print side by side: a line and its end are one write where `print` has end="".
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minilocal.parallel.launcher import leftovers

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def mpiexec() -> str | None:
    """The launcher of this environment's MPI library, or the one on the PATH."""
    beside = Path(sys.executable).with_name("mpiexec")
    return str(beside) if beside.exists() else shutil.which("mpiexec")


@pytest.fixture(scope="session")
def ranks() -> Callable[..., str]:
    """`ranks(script, processes, *words)`: what rank 0 prints. The test fails where a rank does."""
    if importlib.util.find_spec("mpi4py") is None or (launcher := mpiexec()) is None:
        pytest.skip("mpi4py or mpiexec is not installed: pip install 'minilocal[mpi]'")

    def run(script: str, processes: int, *words: str) -> str:
        command = [launcher, "-n", str(processes), sys.executable, "-m", "mpi4py", str(FOLDER / script), *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        before = leftovers.present()
        done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600)
        leftovers.remove(before)  # of ranks that ended by MPI_Abort
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run
