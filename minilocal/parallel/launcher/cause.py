"""What a rank leaves in the folder of the process that started it: its process, facts, and why it failed.

Rank r keeps `rank.r` (its process), `rank.r.facts` and `rank.r.error` (JSON), `rank.r.ready` once it trains,
`rank.r.returned` once its work is done, and `rank.r.done` once it has left MPI; `rank.r.waits` (JSON) while it waits in
a call of MPI after another rank's return. There is no folder where mpiexec or srun was called by hand: a failure is
printed instead.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import sys
import termios
import time
import traceback
from array import array
from contextlib import suppress
from pathlib import Path

from minilocal.errors import UserError
from minilocal.parallel.environment import folder, parent_gone, place
from minilocal.parallel.launcher import notes

AFTER_ANOTHER = 0.3  # seconds in which the end of another rank is seen


def register() -> None:
    """Put this rank's process into the folder."""
    if (path := _file()) is not None:
        _write(path, str(os.getpid()))


def note(**facts: str) -> None:
    """Keep facts for the line about a failure: `modules="3-4"` of this rank, `run="runs/a"` of rank 0."""
    if (path := _file(".facts")) is not None:
        _write(path, json.dumps({**notes.note(path), **facts}))


def fail(error: BaseException) -> None:
    """End every rank because of this rank's error."""
    leave(error)
    if folder() is None:  # nobody else will say it
        with suppress(OSError, ValueError):
            if not isinstance(error, UserError | SystemExit | KeyboardInterrupt):
                traceback.print_exception(error, file=sys.__stderr__)
            print(f"minilocal: rank {place().rank} {in_words(error)}", file=sys.__stderr__, flush=True)
    abort(_status(error))


def in_words(error: BaseException) -> str:
    """What happened to a rank, in one line: `raised ZeroDivisionError: division by zero (work.py, line 7)`."""
    if isinstance(error, UserError):
        return f"met an error: {' '.join(str(error).split())}"
    if isinstance(error, KeyboardInterrupt):
        return "was stopped"
    if isinstance(error, SystemExit):
        return f"left early, with exit status {_status(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    text = " ".join(str(error).split())
    return f"raised {type(error).__name__}{': ' if text else ''}{text}{where}"


def leave(error: BaseException) -> None:
    """Write this rank's error into the folder; the first one stays."""
    if (path := _file(".error")) is not None and not path.exists():
        kind = "user" if isinstance(error, UserError) else "stop" if isinstance(error, KeyboardInterrupt) else "other"
        shown = kind == "other" and not isinstance(error, SystemExit)
        mpi = type(error).__module__.startswith("mpi4py")  # may follow from the end of another rank, which is seen soon
        entry = {
            "kind": kind,
            "message": " ".join(str(error).split()) if kind == "user" else in_words(error),
            "traceback": "".join(traceback.format_exception(error)) if shown else "",
            "time": time.monotonic() + (AFTER_ANOTHER if mpi else 0.0),
        }
        with suppress(OSError):
            _write(path, json.dumps(entry))
        time.sleep(AFTER_ANOTHER if mpi else 0.0)


def abort(status: int = 1) -> None:
    """End every rank at once, without a word."""
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]
            _wait_until_read(stream.fileno())  # type: ignore[union-attr]
    mpi4py = sys.modules.get("mpi4py.MPI")
    if mpi4py is not None and not mpi4py.Is_finalized():
        mpi4py.COMM_WORLD.Abort(status)
    os._exit(status)


def _wait_until_read(pipe: int) -> None:
    """Wait until nothing stands unread in a pipe, a second at most: mpiexec drops what it has not read at MPI_Abort.

    A file or a terminal needs no wait.
    """
    if not stat.S_ISFIFO(os.fstat(pipe).st_mode):
        return
    unread, last = array("i", [1]), time.monotonic() + 1.0
    while unread[0] and time.monotonic() < last:
        fcntl.ioctl(pipe, termios.FIONREAD, unread)
        time.sleep(0.005)  # and from its proxy on to mpiexec


def _status(error: BaseException) -> int:
    code = error.code if isinstance(error, SystemExit) else None
    if isinstance(error, SystemExit):
        return code if isinstance(code, int) else 0 if code is None else 1
    if isinstance(error, KeyboardInterrupt):
        return 128 + int(getattr(error, "number", signal.SIGINT))
    return 2 if isinstance(error, UserError) else 1


def ready() -> None:
    """Mark this rank as ready: a signal from now on stops its run with a checkpoint."""
    if (path := _file(".ready")) is not None and not path.exists():
        _write(path, "")


def returned() -> None:
    """Mark this rank as one that has returned from its work: it sends no message any more."""
    if (path := _file(".returned")) is not None:
        _write(path, "")


def another_has_returned() -> bool:
    """Whether a rank other than this one has returned from its work."""
    own, directory = place(), folder()
    return directory is not None and any(
        (directory / f"rank.{number}.returned").exists() for number in range(own.size) if number != own.rank
    )


def waits(where: str = "", stack: str = "") -> None:
    """Say where this rank waits, `comm.Recv (work.py, line 7)`, with its stack; without a place, that it goes on."""
    if (path := _file(".waits")) is None:
        return
    if not where:
        path.unlink(missing_ok=True)
    elif not path.exists():
        _write(path, json.dumps({"where": where, "traceback": stack}))


def done() -> None:
    """Mark this rank as done: its end is no failure."""
    if (path := _file(".done")) is not None:
        _write(path, "")
        if parent_gone():
            shutil.rmtree(path.parent, ignore_errors=True)


def _file(ending: str = "") -> Path | None:
    directory = folder()
    return None if directory is None else directory / f"rank.{place().rank}{ending}"


def _write(path: Path, text: str) -> None:
    """Write a file that appears whole."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)
