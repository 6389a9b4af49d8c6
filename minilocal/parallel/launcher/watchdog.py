"""A thread in each rank, for the time in which the main thread waits for a message that never comes.

It ends the rank where another rank has failed: the process that started the ranks asks for that. Where that process is
gone, a run that trains saves its checkpoint between two steps and ends; a rank whose main thread stands still is ended,
and mpiexec ends the others. Where another rank has returned, and this one waits in a call of MPI, it says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
import traceback
from pathlib import Path

from minilocal.parallel.environment import END, folder, parent_gone
from minilocal.parallel.launcher import cause
from minilocal.parallel.launcher.leftovers import remove_own
from minilocal.parallel.launcher.waiting import MainThread, call_of_mpi

PAUSE = 0.2  # seconds between two looks
STILL = "MINILOCAL_STILL"  # seconds in which the main thread stands still; by default
ORPHANED = 30.0  # after the parent's end, until the rank ends
WAITING = 4.0  # after another rank's return, until the rank says that it waits


def start() -> None:
    """Start the thread, in a rank that minilocal has started."""
    if (directory := folder()) is not None:
        threading.Thread(target=_watch, args=(directory,), name="minilocal watchdog", daemon=True).start()


def _watch(directory: Path) -> None:
    main = MainThread()
    own = os.environ.get(STILL)
    orphaned, waiting = float(own or ORPHANED), float(own or WAITING)
    while True:
        time.sleep(PAUSE)
        if (directory / END).exists():
            os._exit(0)  # so that mpiexec's status is that of the rank that failed
        if parent_gone():
            main.look(PAUSE)
            if main.still >= orphaned:
                remove_own()
                shutil.rmtree(directory, ignore_errors=True)
                os.kill(os.getpid(), signal.SIGKILL)
        elif cause.another_has_returned():
            main.look(PAUSE)
            cause.waits(*_waiting(main) if main.still >= waiting else ())


def _waiting(main: MainThread) -> tuple[str, ...]:
    """(the call of MPI in which the main thread stands, its traceback); empty where it stands in another one."""
    frame = main.frame
    call = frame and call_of_mpi(frame)
    if frame is None or call is None:
        return ()
    where = f"{call} ({Path(frame.f_code.co_filename).name}, line {frame.f_lineno})"
    return where, "".join(traceback.format_stack(frame))
