"""A rank that is killed, raises or leaves ends the run: soon, in one line, and with nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.parallel.launcher import follow, leftovers
from minilocal.parallel.launcher.watch import Watch
from tests.helpers.rank_processes import folder_of, of_runs_below, ranks_below

WORK = Path(__file__).with_name("work_of_ranks.py")
BESIDE = Path(sys.executable).parent / "mpiexec"
KILLS = int(os.environ.get("MINILOCAL_KILLS") or 5)
SECONDS = 10  # the longest that a run may last after a fault
HANGS = 60  # the start of two processes counts here, which takes its time on a busy machine
KILLED = "(was killed by signal 9|left early)"  # where mpiexec fails itself over the lost rank, it names no signal
pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("mpi4py") is None or not (BESIDE.exists() or shutil.which("mpiexec")),
        reason="needs mpi4py and mpiexec: pip install -e '.[mpi]'",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]


@pytest.fixture
def nothing_left(tmp_path, monkeypatch):
    """No process, file in /dev/shm or folder of this test's runs is left."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    mapped, ended = set[Path](), threading.Event()

    def watch():
        """Other tests kill ranks too, and what those leave is not this test's."""
        while not ended.wait(0.05):
            mapped.update(leftovers._mapped(Path(f"/proc/{each}") for each in of_runs_below(tmp_path / "tmp")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    yield
    ended.set()
    watcher.join()
    last = time.monotonic() + 5  # mpiexec ends after its ranks
    while of_runs_below(tmp_path / "tmp"):
        assert time.monotonic() < last, "a process is left"
        time.sleep(0.05)
    while mapped & leftovers.present():
        assert time.monotonic() < last, "a file is left in /dev/shm"
        time.sleep(0.1)
    assert not list((tmp_path / "tmp").glob("minilocal-ranks-*"))


def failing(*args):
    """The error of a launch that ends soon enough after its fault."""
    with pytest.raises((ml.UserError, RuntimeError)) as raised:
        ml.parallel.launch(f"{WORK}:fail", *args)
    fault = float(Path(os.environ["TMPDIR"], "fault").read_text())
    assert 0 < time.monotonic() - fault < SECONDS
    return raised.value


@pytest.mark.parametrize(
    ("way", "kind", "line"),
    [
        ("kill", RuntimeError, f"rank 1 {KILLED}"),
        ("raise", RuntimeError, r"rank 1 raised ZeroDivisionError: no quotient \(work_of_ranks.py, line \d+\)"),
        ("exit", RuntimeError, "rank 1 left early, with exit status 3"),
        ("_exit", RuntimeError, "rank 1 left early(, with exit status 1)?"),  # Open MPI calls it 1
        (
            "return",
            RuntimeError,
            r"rank 0 waited in comm.Recv \(work_of_ranks.py, line \d+\) after rank 1 had returned",
        ),
        ("user", ml.UserError, "rank 1: my own line"),
        ("object", ml.UserError, "rank 1: a rank's result is or contains an object: give .*"),
        ("same", ml.UserError, "met by all"),
    ],
)
def test_a_rank_that_fails_while_the_other_waits(nothing_left, capfd, way, kind, line):
    error = failing(way)
    assert type(error) is kind and re.fullmatch(line, str(error))
    assert any("in fail" in note for note in getattr(error, "__notes__", ())) == (way in ("raise", "return"))
    assert capfd.readouterr() == ("", "")


def test_a_killed_rank_is_named_behind_a_line_that_another_has_not_ended(nothing_left, capfd):
    assert re.fullmatch(f"rank 1 {KILLED}", str(failing("kill behind half a line")))
    assert capfd.readouterr() == ("half a line", "")


def test_the_line_names_the_modules_and_the_last_checkpoint(nothing_left, tmp_path):
    run = tmp_path / "a run"
    nothing_saved = rf"rank 1 \(modules 3-4\) {KILLED}; nothing had been saved in {re.escape(str(run))}"
    assert re.fullmatch(nothing_saved, str(failing("kill", "3-4", str(run))))
    run.mkdir()
    (run / "checkpoint.npz").touch()
    assert str(failing("_exit", "3-4", str(run))) == (
        f"rank 1 (modules 3-4) left early; the last checkpoint is in {run}: go on with minilocal train --resume '{run}'"
    )


@contextmanager
def meeting(rank, act):
    """Call `act` with the process of this rank of this test, as soon as there is one; not after the block."""
    over = threading.Event()

    def meet():
        while rank not in (ranks := ranks_below(os.getpid())):
            if over.wait(0.005):
                return
        act(ranks[rank])

    thread = threading.Thread(target=meet)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_rank_killed_at_a_random_point(nothing_left, capfd, seed):
    """From before it has imported NumPy to the middle of a message."""
    rng = random.Random(seed)
    victim, delay = rng.randrange(2), rng.uniform(0.0, 2.5)
    killed = []

    def kill(rank):
        time.sleep(delay)
        os.kill(rank, signal.SIGKILL)
        killed.append(time.monotonic())

    with meeting(victim, kill), pytest.raises(RuntimeError, match=rf"^rank {victim} {KILLED}"):
        ml.parallel.launch(f"{WORK}:pass_round", 30)
    assert time.monotonic() - killed[0] < SECONDS
    assert not capfd.readouterr().out


def test_an_mpiexec_that_ends_over_a_lost_rank_is_not_the_cause(tmp_path):
    """On a busy machine MPICH's mpiexec ends by SIGPIPE, when it writes to the proxy of a rank that was killed."""
    watch = Watch(tmp_path, 2)
    rank = subprocess.Popen([sys.executable, "-c", ""])
    (tmp_path / "process.0").write_text(str(os.getpid()))
    (tmp_path / "process.1").write_text(str(rank.pid))
    watch.look()
    assert watch.failure(-signal.SIGPIPE) == (None, "mpiexec", "was killed by signal 13", "")
    rank.wait()
    assert watch.ranks[1].has_ended() and watch.failure(-signal.SIGPIPE) == (1, "ended", "left early", "")
    assert watch.failure(-signal.SIGKILL) == (None, "mpiexec", "was killed by signal 9", "")
    watch.close()


PLAIN = """
import numpy as np
from minilocal.parallel import mpi
comm = mpi.world()
comm.Barrier()
if comm.rank == 1:
    raise ZeroDivisionError("no quotient")
comm.Recv(np.zeros(1), source=1)
"""


def test_an_uncaught_exception_ends_ranks_that_mpiexec_started_by_hand(nothing_left):
    command = [str(BESIDE) if BESIDE.exists() else "mpiexec", "-n", "2", sys.executable, "-c", PLAIN]
    root = str(Path(ml.__file__).parents[1])
    before = leftovers.present()
    ran = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env={**os.environ, "PYTHONPATH": root})
    assert ran.returncode == 1 and "ZeroDivisionError: no quotient" in ran.stderr
    last = time.monotonic() + 2  # MPI's own file: a rank may end, and let go of it, after mpiexec
    while leftovers.present() - before and time.monotonic() < last:
        leftovers.remove(before)


def test_a_rank_may_return_before_the_others(nothing_left, monkeypatch):
    """Neither a long call of another kind, nor waiting for a rank that works, nor many messages is waiting for ever."""
    monkeypatch.setenv("MINILOCAL_STILL", "0.5")
    assert ml.parallel.launch(f"{WORK}:return_first", 1.5, processes=3) == [0, 1, 2]


def test_a_slow_rank_slows_the_others_and_no_more(nothing_left, monkeypatch):
    monkeypatch.setattr(follow, "GRACE", 0.2)
    assert ml.parallel.launch(f"{WORK}:slow", 1.5) == [1.0, 0.0]


def test_a_rank_that_is_halted_for_a_while_goes_on(nothing_left, monkeypatch):
    monkeypatch.setattr(follow, "GRACE", 0.2)

    def halt(rank):
        while not (folder_of(rank) / "process.1").exists():  # before that it would be taken for one that did not start
            time.sleep(0.005)
        time.sleep(0.6)
        os.kill(rank, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(rank, signal.SIGCONT)

    with meeting(1, halt):
        assert ml.parallel.launch(f"{WORK}:pass_round", 1) == [0, 1]


@pytest.fixture
def started(tmp_path):
    """Starts a process whose ranks wait for ever; returns it and the ranks' processes. After the test none is left."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(**env):
        code = f"import minilocal as ml; ml.parallel.launch({f'{WORK}:wait_for_nothing'!r}, {str(tmp_path)!r})"
        own = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1]), **env}
        begun.append(process := subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, env=own))
        files = [tmp_path / "pid.0", tmp_path / "pid.1"]
        while not all(file.exists() and file.read_text() for file in files):
            time.sleep(0.02)
            assert process.poll() is None
        return process, [int(file.read_text()) for file in files]

    yield start
    for process in begun:
        process.kill()  # ranks end with the process that started them
        process.wait()


def has_ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for_the_end_of(ranks):
    last = time.monotonic() + SECONDS
    while not all(map(has_ended, ranks)):
        assert time.monotonic() < last, "a rank stays behind"
        time.sleep(0.05)


def test_ranks_that_wait_end_where_the_process_that_started_them_is_killed(nothing_left, started):
    process, ranks = started(MINILOCAL_STILL="1")
    process.kill()
    process.communicate()
    wait_for_the_end_of(ranks)


def test_ctrl_c_ends_ranks_that_wait(nothing_left, started):
    process, ranks = started()
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=SECONDS)[1]
    wait_for_the_end_of(ranks)


BY_HAND = """
import os, signal
from mpi4py import MPI
from minilocal.parallel import mpi
from minilocal.parallel.launcher import rank

world, finalize = mpi.world, MPI.Finalize

def interrupt():
    if MPI.COMM_WORLD.rank == 0:
        os.kill(os.getpid(), signal.SIGINT)

def interrupted_world():
    comm = world()
    interrupt()
    return comm

def interrupted_finalize():
    interrupt()
    finalize()

"""


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [("mpi.world = interrupted_world", 130, "rank 0 was stopped"), ("MPI.Finalize = interrupted_finalize", 0, "")],
)
def test_ctrl_c_in_one_rank_while_mpi_starts_or_ends(line, status, text):
    words = [str(BESIDE if BESIDE.exists() else "mpiexec"), "-n", "2", sys.executable, "-m", "mpi4py"]
    env = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1])}
    before = leftovers.present()
    try:
        code = f"{BY_HAND}\n{line}\nrank.run(lambda: None)"
        done = subprocess.run([*words, "-c", code], env=env, capture_output=True, text=True, timeout=HANGS)
    finally:
        leftovers.remove(before)
    assert done.returncode == status and text in done.stderr
