"""One rank's work, and an end of it that all ranks know.

A rank that raises or leaves while others wait for its messages would leave them waiting for ever. So `run` ends every
rank with MPI_Abort where one of them fails, and lets them leave together otherwise. One that returns while others wait
is seen by the process that started the ranks, from what `watchdog` says in each of them.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from minilocal.errors import UserError
from minilocal.parallel import mpi
from minilocal.parallel.environment import place
from minilocal.parallel.launcher import watchdog
from minilocal.parallel.launcher.cause import done, fail, leave, register, returned
from minilocal.signals import STOPS
from minilocal.train.stop import Interrupted

T = TypeVar("T")

MEETING_SECONDS = 2.0  # seconds in which every rank has to meet an error that all of them meet
TERMINAL = "MINILOCAL_TERMINAL"  # set where the standard error of the process that started the ranks is a terminal


def run(work: Callable[[], T], *, quiet: bool = True) -> T | None:
    """`work()` in this rank. Where one rank fails, every rank ends; otherwise they leave MPI together.

    A UserError or an Interrupted that every rank raises is raised again on rank 0 alone, after all ranks have left.
    `quiet` silences the other ranks' prints.

    Returns: the result; None where the same error ended all ranks and this is not rank 0.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)  # whole lines, as they come
    register()
    watchdog.start()
    first = place().rank == 0
    with _only_rank_0_prints(quiet and not first):
        try:
            meeting = mpi.world().Dup()
        except UserError as error:  # the ranks do not know each other
            leave(error)
            if first:
                raise
            time.sleep(MEETING_SECONDS)  # mpiexec ends rank 0 with the first rank that ends
            raise SystemExit(2) from None
        except BaseException as error:  # Ctrl-C: the others wait for this rank already
            fail(error)
        try:
            result = work()
        except (UserError, Interrupted) as error:
            if not _all_meet(meeting):
                fail(error)
            if isinstance(error, UserError):
                leave(error)
            _leave_mpi()
            if first:
                raise
            return None
        except BaseException as error:
            fail(error)
    returned()
    _leave_mpi()
    return result


def _all_meet(comm: Any) -> bool:
    """Whether every rank comes here within MEETING_SECONDS seconds."""
    request, last = comm.Ibarrier(), time.monotonic() + MEETING_SECONDS
    while not (met := request.Test()) and time.monotonic() < last:
        time.sleep(0.01)
    return bool(met)


def _leave_mpi() -> None:
    """Finalise MPI, which waits for the other ranks, and mark this rank as done. A stop comes too late from here on."""
    from mpi4py import MPI

    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    MPI.Finalize()
    done()


@contextmanager
def _only_rank_0_prints(silent: bool) -> Iterator[None]:
    """Discard what this rank prints; on rank 0, stderr is a terminal where it ends on one."""
    if not silent:
        if os.environ.get(TERMINAL) and place().rank == 0:
            sys.stderr.isatty = lambda: True  # type: ignore[method-assign]
        yield
        return
    streams = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = streams
