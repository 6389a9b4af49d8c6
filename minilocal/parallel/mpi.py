"""MPI's world, checked; a rank's share of its machine; and errors that all ranks raise together.

Importing mpi4py.MPI initialises MPI, so only `world` does it.
"""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from minilocal.errors import UserError
from minilocal.kernels.threads import PARTS, available
from minilocal.parallel.environment import parent_gone, place, started
from minilocal.parallel.launcher import cause
from minilocal.parallel.launcher.installed import INSTALL, check_packages

if TYPE_CHECKING:
    from mpi4py import MPI

__all__ = ["agree", "check_same", "cores_for", "local_rank", "parent_gone", "started", "world"]


def world() -> MPI.Intracomm:
    """COMM_WORLD. From here on an uncaught exception in one rank ends all of them.

    Raises: UserError where MPI is missing, doubled or not the one that started this process.
    """
    check_packages()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # about another MPI's mpiexec: the error below says it
            from mpi4py import MPI
    except (ImportError, RuntimeError, OSError) as error:
        raise UserError(f"mpi4py finds no MPI library ({' '.join(str(error).split())}): {INSTALL}") from None
    comm, expected = MPI.COMM_WORLD, place()
    if expected.size not in (1, comm.size):
        library = " ".join(MPI.Get_library_version().split("\n")[0].replace("Version:", "").split())[:40]
        raise UserError(
            f"{expected.size} ranks were started, but MPI says 1 of {comm.size}: mpi4py uses {library}, and another "
            "MPI's mpiexec or srun started it. Use the mpiexec of that library, or srun --mpi=pmi2."
        )
    if comm.size > 1 and sys.excepthook is not _end_all_ranks:
        sys.excepthook = _end_all_ranks
    return comm


def _end_all_ranks(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The excepthook of a rank."""
    traceback.print_exception(kind, error, trace)
    cause.leave(error)
    cause.abort()


def local_rank(comm: MPI.Intracomm) -> int:
    """This rank's number among those of its machine, from 0. Collective."""
    neighbours = _of_this_machine(comm)
    number = int(neighbours.rank)
    neighbours.Free()
    return number


def cores_for(comm: MPI.Intracomm) -> int:
    """This rank's share of the cores of its machine, 1 to 16. Collective.

    A core that several ranks may use is shared among them; srun may have given each rank cores of its own.
    """
    neighbours = _of_this_machine(comm)
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(available()))
    every = neighbours.allgather(sorted(own))
    neighbours.Free()
    share = sum(1 / sum(core in cores for cores in every) for core in own)
    return max(1, min(int(share + 1e-9), PARTS))


def _of_this_machine(comm: MPI.Intracomm) -> Any:
    from mpi4py import MPI

    return comm.Split_type(MPI.COMM_TYPE_SHARED)


def agree(comm: MPI.Intracomm, error: UserError | None) -> None:
    """Raise in every rank, where any rank has an error. Collective.

    The message is that of the first rank that has one, after its number where not all ranks have the same.

    Raises: UserError.
    """
    messages = comm.allgather(None if error is None else str(error))
    wrong = [(number, message) for number, message in enumerate(messages) if message is not None]
    if not wrong:
        return
    number, message = wrong[0]
    if error is not None and all(message == other for other in messages):
        raise error
    raise UserError(f"rank {number}: {message}")


def check_same(comm: MPI.Intracomm, facts: Mapping[str, Any]) -> None:
    """Check that every rank has the same `facts`, such as {"NumPy": "2.4.1"}; the names are for the error. Collective.

    Raises: UserError in every rank, with the first fact that differs and both values.
    """
    every = comm.allgather({name: str(value) for name, value in facts.items()})
    for name in every[0]:
        for number, others in enumerate(every):
            if others.get(name) != every[0][name]:
                raise UserError(
                    f"rank {number} has {name} {others.get(name)}, rank 0 has {every[0][name]}: start every rank from "
                    "the same environment, with the same command."
                )
