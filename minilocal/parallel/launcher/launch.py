"""Ranks on this machine, started from a notebook, a script or the command line."""

from __future__ import annotations

import codecs
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minilocal.errors import UserError, whole
from minilocal.ops.kinds import kernels
from minilocal.parallel.environment import started
from minilocal.parallel.launcher import values
from minilocal.parallel.launcher.command import command, environment
from minilocal.parallel.launcher.follow import Write, follow, private_folder
from minilocal.parallel.launcher.notes import ERROR, note
from minilocal.parallel.launcher.watch import Failure
from minilocal.parallel.launcher.work import described
from minilocal.signals import Stopped, handled
from minilocal.train.stop import last_checkpoint

SMALL = 32 << 20  # bytes free in /dev/shm, below which a rank ends with a bus error


def launch(work: Callable[..., Any] | str | os.PathLike[str], *args: Any, processes: int = 2) -> list[Any]:
    """Call `work(*args)` in `processes` MPI ranks of this machine, and return their results in a list.

    work    a function that ranks can import, "FILE.py:FUNCTION", or "FILE.py", which is run as a program with `args` as
            its words. In a notebook, put the function into a file with %%writefile
    args    and results: None, bools, numbers, str, lists, tuples, dicts and NumPy arrays

    Each rank finds the others as `mpi4py.MPI.COMM_WORLD`, gets its share of the cores, and has the kernels of this
    process. Ranks import the script that calls this, so the call stands under `if __name__ == "__main__":`. What they
    print is printed as it comes.

    Raises: UserError for work or values that cannot be passed on, where MPI is not installed, and with the message of a
    rank's UserError; RuntimeError with the rank and the cause where a rank fails, or waits for one that has returned;
    KeyboardInterrupt where one is stopped. Then no rank runs any more.
    """
    if started():
        raise UserError('launch() was called inside a rank: put the call under if __name__ == "__main__":.')
    processes = whole("processes", processes)
    task = described(work)
    main = getattr(sys.modules["__main__"], "__file__", None)
    with private_folder() as folder:
        path = [str(Path(entry or os.curdir).resolve()) for entry in sys.path]
        written = {"work": task, "path": path, "main": main and str(Path(main).resolve()), "kernels": kernels()}
        (folder / "work.json").write_text(json.dumps(written))
        values.save(folder / "arguments", list(args), "an argument of launch()")
        words = command(processes, ["-m", "minilocal.parallel.launcher.called", str(folder)])
        env = environment(processes, folder)
        ending = follow(words, env, folder, processes, _writer(sys.stdout), _writer(sys.stderr))
        if ending.failure is not None:
            raise _exception(ending.failure, ending.facts)
        return [_result(folder, rank) for rank in range(processes)]


def relaunch(words: Sequence[str], processes: int) -> int:
    """Run `minilocal WORDS` in ranks, and return its exit status. Prints the one line about a rank that failed."""
    with private_folder() as folder, _stops() as stops:
        started_by = command(processes, ["-m", "minilocal", *words])
        env = environment(processes, folder)
        ending = follow(started_by, env, folder, processes, _writer(sys.stdout), _writer(sys.stderr), stops)
    failure = ending.failure
    if failure is None:
        return ending.status
    if failure.kind == "stop":
        run = ending.facts[0].get("run")
        saved = "" if run is None else f"; {last_checkpoint(Path(run))}"
        raise Stopped(f"stopped{saved}", stops()[-1] if stops() else signal.SIGINT)
    if failure.kind == "user":
        raise UserError(f"rank {failure.rank}: {failure.message}")
    sys.stderr.write(failure.traceback)
    print(f"minilocal: {line(failure, ending.facts)}", file=sys.stderr)
    return 1


def line(failure: Failure, facts: Mapping[int, Mapping[str, str]]) -> str:
    """`rank 1 (modules 3-4) was killed by signal 9; the last checkpoint is in RUN: ...`, in one line."""
    nameless = "mpiexec" if failure.kind == "mpiexec" else "a rank"
    rank = nameless if failure.rank is None else f"rank {failure.rank}"
    modules = facts.get(failure.rank, {}).get("modules") if failure.rank is not None else None
    first, _, last = (modules or "").partition("-")
    owner = "" if not modules else f" (module {first})" if first == last else f" (modules {modules})"
    run = facts.get(0, {}).get("run")
    saved = "" if run is None else f"; {last_checkpoint(Path(run))}"
    return f"{rank}{owner} {failure.message}{saved}{_remedy(failure)}"


def _remedy(failure: Failure) -> str:
    """What helps where MPI's shared memory is too small: its writers get a bus error or a segmentation fault."""
    if failure.message.startswith(("was killed by signal 7", "was killed by signal 11")) and os.path.isdir("/dev/shm"):
        space = os.statvfs("/dev/shm")
        if (free := space.f_bavail * space.f_frsize) < SMALL:
            return f"; /dev/shm has {free >> 20} MiB free and MPI needs 32: docker run --shm-size=256m"
    return ""


def _exception(failure: Failure, facts: Mapping[int, Mapping[str, str]]) -> BaseException:
    if failure.kind == "stop":
        return KeyboardInterrupt()
    if failure.kind == "user":
        return UserError(f"rank {failure.rank}: {failure.message}")
    error = RuntimeError(line(failure, facts))
    if failure.traceback:
        error.add_note(f"In rank {failure.rank}:\n{failure.traceback}")
    return error


def _result(folder: Path, rank: int) -> Any:
    """The result of a rank, or its error, which all ranks have then."""
    file = folder / f"rank.{rank}.error"
    if file.exists():
        raise UserError(note(file, ERROR).get("message", f"rank {rank} met an error, and {file} does not say which."))
    return values.load(folder / f"rank.{rank}.result")


def _writer(stream: Any) -> Write:
    """Bytes into a text stream; a notebook's has no `buffer`."""
    binary = getattr(stream, "buffer", None)
    decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode

    def write(data: bytes) -> None:
        if binary is not None:
            stream.flush()
            binary.write(data)
        else:
            stream.write(decode(data))
        stream.flush()

    return write


@contextmanager
def _stops() -> Iterator[Callable[[], list[int]]]:
    """Within the block the signals that stop a run are listed as they come, in the main thread."""
    received: list[int] = []
    with handled(lambda number, restore: received.append(number)):
        yield lambda: received
