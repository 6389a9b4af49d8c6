"""MPI tried on this machine: two ranks, 8 MB, and what makes large messages slow or impossible."""

from __future__ import annotations

import faulthandler
import os
import sys
import time

from minilocal.parallel.launcher import cma
from minilocal.parallel.launcher.installed import mpiexec
from minilocal.parallel.launcher.launch import SMALL, launch
from minilocal.parallel.mpi import world

BYTES = 8 << 20
TRIES = 5
LIMIT = 60  # seconds after which a rank that waits ends the trial


def send() -> tuple[str, float]:
    """(MPI's name and version, seconds of the fastest of TRIES messages from rank 0 to rank 1), in each rank."""
    import numpy as np
    from mpi4py import MPI

    faulthandler.dump_traceback_later(LIMIT, exit=True)
    comm, message, seconds = world(), np.zeros(BYTES, np.uint8), []
    for number in range(1, TRIES + 1):
        comm.Barrier()
        began = time.perf_counter()
        if comm.rank == 0:
            message[:] = number
            began = time.perf_counter()
            comm.Send(message, 1)
        else:
            comm.Recv(message, 0)
        seconds.append(time.perf_counter() - began)
        if not (message == number).all():
            raise ArithmeticError("a message has arrived changed")
    faulthandler.cancel_dump_traceback_later()
    library = MPI.Get_library_version().split("\n")[0].replace("Version:", "")
    return " ".join(library.split())[:40].rstrip(", \0"), min(seconds)


def two_ranks() -> str:
    """What two ranks find: the library, and the time of a message."""
    (library, seconds), _ = launch(send, processes=2)
    return f"{library}, two ranks, 8 MB from one to the other in {1e3 * seconds:.1f} ms, by {mpiexec()}"


def remarks() -> dict[str, str]:
    """What slows or breaks messages on this machine, by its name, with the remedy."""
    slow = {}
    if sys.platform == "linux" and not cma.is_allowed():
        slow["MPI, large messages"] = f"copied twice, since ranks may not read each other's memory: {cma.REMEDY}"
    if os.path.isdir("/dev/shm"):
        space = os.statvfs("/dev/shm")
        if (free := space.f_bavail * space.f_frsize) < SMALL:
            slow["MPI, /dev/shm"] = f"{free >> 20} MiB free, and MPI needs 32: docker run --shm-size=256m"
    return slow
