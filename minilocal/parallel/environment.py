"""What the environment says: a process knows from it, without MPI, that it is one of several ranks.

`MINILOCAL_RANKS` names the private folder of the process that started the ranks, if that was minilocal's. It holds
`alive`, which that process has locked as long as it lives, and `end`, once the ranks that are left have to end.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

FOLDER = "MINILOCAL_RANKS"
ALIVE, END = "alive", "end"
STARTERS = (  # (rank, number of ranks) of each kind of starter
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI, MVAPICH, Cray
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),  # srun; sbatch and salloc set no SLURM_STEP_NUM_TASKS
)
LOCAL = (  # the same, of this machine
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("MPI_LOCALRANKID", "MPI_LOCALNRANKS"),  # MPICH, Intel MPI
    ("SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
)


class Place(NamedTuple):
    """A rank, and the number of ranks."""

    rank: int
    size: int


def place(environment: Mapping[str, str] | None = None) -> Place:
    """The place among ranks that the environment gives to this process: (0, 1) where it is alone."""
    return _place(os.environ if environment is None else environment, STARTERS) or Place(0, 1)


def local_place(environment: Mapping[str, str] | None = None) -> Place:
    """The place among the ranks of this machine; among all ranks, where the starter does not say it."""
    env = os.environ if environment is None else environment
    return _place(env, LOCAL, least=1) or place(env)


def started() -> bool:
    """Whether this process was started as one of several ranks, by mpiexec or srun."""
    return place().size > 1


def folder() -> Path | None:
    """The folder of the process that started this rank; None where mpiexec or srun was called by hand."""
    name = os.environ.get(FOLDER)
    return Path(name) if name else None


def parent_gone() -> bool:
    """Whether minilocal started this rank and has ended since, as after SIGKILL. Costs a microsecond."""
    if (directory := folder()) is None:
        return False
    descriptor = _alive(directory)
    if descriptor < 0:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _place(env: Mapping[str, str], starters: Sequence[tuple[str, str]], least: int = 2) -> Place | None:
    """What the first of these starters says; None where none of them has started `least` ranks."""
    for rank, size in starters:
        if env.get(rank, "").isdecimal() and env.get(size, "").isdecimal() and int(env[size]) >= least:
            return Place(int(env[rank]), int(env[size]))
    return None


@cache
def _alive(directory: Path) -> int:
    try:
        return os.open(directory / ALIVE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
