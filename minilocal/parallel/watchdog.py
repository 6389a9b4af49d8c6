"""A thread in each rank that ends it: where another rank has failed, or where nobody waits for it and it does not move.

A killed rank leaves the others in calls of MPI that never return: the process that started them asks them to end.
A run that trains sees between two steps that its parent is gone, saves its checkpoint and ends. A rank that waits for a
message that never comes would stay behind: the thread ends it, and mpiexec the others.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from minilocal.parallel.environment import END, parent_gone
from minilocal.parallel.leftovers import remove_own

PAUSE = 0.2  # seconds between two looks
STILL = "MINILOCAL_STILL"  # seconds without a move of the main thread, after the parent's end, that end the rank
SECONDS = 30.0


def watch_the_parent(folder: Path) -> None:
    """Start the thread."""
    threading.Thread(target=_watch, args=(folder,), name="minilocal watchdog", daemon=True).start()


def _watch(folder: Path) -> None:
    main = threading.main_thread().ident
    limit, still, last = float(os.environ.get(STILL) or SECONDS), 0.0, None
    while True:
        time.sleep(PAUSE)
        if (folder / END).exists():
            os._exit(0)  # so that mpiexec's status is that of the rank that failed
        if not parent_gone():
            continue
        frame = sys._current_frames().get(main or 0)
        now = None if frame is None else (id(frame), frame.f_lasti)
        still = still + PAUSE if now == last else 0.0
        last = now
        if still >= limit:
            remove_own()
            shutil.rmtree(folder, ignore_errors=True)
            os.kill(os.getpid(), signal.SIGKILL)
