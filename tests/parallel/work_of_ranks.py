"""What the tests of launching ask ranks to do."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

from minilocal.errors import UserError
from minilocal.ops.kinds import kernels
from minilocal.parallel import mpi


def echo(*values):
    """Each rank's number and arguments."""
    comm = mpi.world()
    return {"rank": comm.rank, "size": comm.size, "values": list(values)}


def kind():
    """The kernels of this rank."""
    return kernels()


def facts():
    """What mpi.py says in two ranks, and which errors they agree on."""
    comm = mpi.world()

    def raised(call):
        try:
            call()
        except UserError as error:
            return str(error)
        return None

    return {
        "local rank": mpi.local_rank(comm),
        "cores": mpi.cores_for(comm),
        "environment": {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")},
        "no error": raised(lambda: mpi.agree(comm, None)),
        "one error": raised(lambda: mpi.agree(comm, UserError("too bad") if comm.rank == 1 else None)),
        "same error": raised(lambda: mpi.agree(comm, UserError("too bad"))),
        "same facts": raised(lambda: mpi.check_same(comm, {"NumPy": "2", "lr": 0.1})),
        "other facts": raised(lambda: mpi.check_same(comm, {"NumPy": "2", "lr": 0.1 + comm.rank})),
    }


def fail(way, modules="", run=""):
    """Rank 1 writes down when it fails, and fails, while rank 0 waits for a message of rank 1."""
    from minilocal.parallel.launcher.cause import note

    comm = mpi.world()
    if modules:
        note(modules=modules, run=run)
    if way == "kill behind half a line" and comm.rank == 0:
        print("half a line", end="", flush=True)
    comm.Barrier()
    if comm.rank == 1:
        time.sleep(0.2)
        Path(os.environ["TMPDIR"], "fault").write_text(str(time.monotonic()))
        if way.startswith("kill"):
            os.kill(os.getpid(), 9)
        if way == "raise":
            raise ZeroDivisionError("no quotient")
        if way == "user":
            raise UserError("my own line")
        if way == "exit":
            sys.exit(3)
        if way == "_exit":
            os._exit(0)
        if way == "object":
            return object()
        if way == "return":
            return None
    if way == "same":
        raise UserError("met by all")
    comm.Recv(np.zeros(1 << 20), source=1 - comm.rank)
    return None


def return_first(seconds):
    """Rank 2 returns at once. Rank 1 waits for rank 0, which sleeps; then the two exchange messages in one line."""
    comm = mpi.world()
    if comm.rank == 2:
        return comm.rank
    if comm.rank == 0:
        time.sleep(seconds)
    comm.sendrecv(None, 1 - comm.rank, source=1 - comm.rank)
    last, message, other, goes_on = time.monotonic() + seconds, np.zeros(1), 1 - comm.rank, True
    while goes_on:  # as long as both want to: each decides by both answers
        own = time.monotonic() < last
        goes_on = comm.sendrecv(own, other, source=other) and own
        for _ in range(100):
            comm.Sendrecv(message, other, 1, message.copy(), other, 1)
    return comm.rank


def pass_round(seconds):
    """Large and small messages between neighbours, for some seconds."""
    comm = mpi.world()
    large, small = np.zeros(1 << 20), np.zeros(1)
    last = time.monotonic() + seconds
    while comm.allreduce(float(time.monotonic() < last)):
        for message in (large, small):
            if comm.rank == 0:
                comm.Send(message, 1)
                comm.Recv(message, 1)
            else:
                comm.Recv(message, 0)
                comm.Send(message, 0)
    return comm.rank


def wait_for_nothing(folder):
    """Ranks that wait for messages that never come; their processes' numbers are in the folder."""
    comm = mpi.world()
    with open(os.path.join(folder, f"pid.{comm.rank}"), "w") as file:
        file.write(str(os.getpid()))
    comm.Recv(np.zeros(1), source=1 - comm.rank)


def slow(seconds):
    """Rank 1 answers late."""
    comm = mpi.world()
    if comm.rank == 1:
        time.sleep(seconds)
        comm.Send(np.ones(1), 0)
        return 0.0
    answer = np.zeros(1)
    comm.Recv(answer, 1)
    return float(answer[0])


def printed():
    """Bytes without a line's end, and MPI's word for an abort as a user's own print."""
    comm = mpi.world()
    if comm.rank == 0:
        sys.stderr.buffer.write(b"\r 50%")
        sys.stderr.buffer.flush()
        print("α and β")
    return None


if __name__ == "__main__":
    print(f"program {sys.argv[1:]} {mpi.world().rank}\n", end="", flush=True)
