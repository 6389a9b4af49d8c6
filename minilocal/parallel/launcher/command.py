"""The command line and the environment of ranks on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from minilocal.kernels.threads import available
from minilocal.parallel.environment import FOLDER
from minilocal.parallel.launcher import cma
from minilocal.parallel.launcher.installed import mpiexec, version
from minilocal.parallel.launcher.rank import TERMINAL

THREADS = (  # of the libraries that NumPy may use; read once, when they are loaded
    "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
OF_A_STARTER = ("PMI_", "PMIX_", "OMPI_COMM_WORLD_", "MPI_LOCAL", "PRTE_LAUNCHED", "SLURM_STEP")
DEFAULTS = {
    "HYDRA_LAUNCHER": "fork",  # inside a Slurm job too: these ranks are of this machine
    "HYDRA_RMK": "user",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",  # Open MPI refuses more ranks than cores,
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "PRTE_MCA_hwloc_default_binding_policy": "none",  # and ties each of two ranks to a single core
    "OMPI_MCA_hwloc_base_binding_policy": "none",
}


# A rank's process is known before Python starts. Hydra reports a rank's end to the others by SIGUSR1, which would kill
# them, and hide from `watch` which one was the first.
START = f"""trap "" USR1; echo $$ > "${FOLDER}/process.${{PMI_RANK:-$OMPI_COMM_WORLD_RANK}}"; exec "$@\""""
KEEP_THE_OTHERS = "-disable-auto-cleanup"


def command(processes: int, words: Sequence[str]) -> list[str]:
    """`mpiexec -n P python -m mpi4py WORDS`, of this environment, where each rank leaves its process in the folder.

    Raises: UserError where MPI is not installed as it has to be.
    """
    starter = mpiexec()
    flags = [KEEP_THE_OTHERS] if version(starter) == "Hydra" else []
    python = [sys.executable, "-m", "mpi4py"]
    return [starter, *flags, "-n", str(processes), "/bin/sh", "-c", START, "sh", *python, *words]


def environment(processes: int, folder: Path) -> dict[str, str]:
    """The ranks' environment: this process's, their share of its cores, and their folder. What the user set stays."""
    share = max(1, available() // processes)
    env = {name: value for name, value in os.environ.items() if not name.startswith(OF_A_STARTER)}
    env = {**DEFAULTS, **dict.fromkeys(THREADS, str(share)), **env, FOLDER: str(folder)}
    root = str(Path(__file__).parents[3])
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    if not cma.is_allowed():
        env.setdefault("MPIR_CVAR_CH4_CMA_ENABLE", "0")
    env.pop(TERMINAL, None)
    if (columns := _columns()) is not None:
        env[TERMINAL] = "1"
        env.setdefault("TQDM_NCOLS", str(columns - 1))
    return env


def _columns() -> int | None:
    """The width of the terminal that shows this process's standard error; None where it is none."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or a notebook's
        if sys.stderr.isatty():
            return os.get_terminal_size(sys.stderr.fileno()).columns
    return None
