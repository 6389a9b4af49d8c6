"""`ml.parallel.launch`: work in ranks of this machine, its values, its output, and what it refuses."""

from __future__ import annotations

import importlib.util
import math
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minilocal as ml
from minilocal.ops import kinds
from minilocal.parallel.launcher import cma, command, values
from minilocal.parallel.launcher.banner import DASHES, RULE, Banner

WORK = Path(__file__).with_name("work_of_ranks.py")
BESIDE = Path(sys.executable).parent / "mpiexec"
needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or not (BESIDE.exists() or shutil.which("mpiexec")),
    reason="needs mpi4py and mpiexec: pip install -e '.[mpi]'",
)


def python(*words, stdin="", **env):
    """A Python process in which the package can be imported; it is not this one, which pytest runs."""
    root = str(Path(ml.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *map(str, words)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": root, **env},
    )


@needs_mpi
def test_values_go_to_the_ranks_and_come_back_as_they_were():
    sent = [
        None,
        True,
        3,
        2.5,
        math.inf,
        "α",
        [1, (2, "b")],
        {"k": 1, 2: None},
        np.arange(6.0).reshape(2, 3),
        np.int8(4),
    ]
    before = "mpi4py.MPI" in sys.modules  # another test of this process may have imported it
    back = ml.parallel.launch(f"{WORK}:echo", *sent)
    assert ("mpi4py.MPI" in sys.modules) == before
    assert [one["rank"] for one in back] == [0, 1] and all(one["size"] == 2 for one in back)
    for one in back:
        assert repr(one["values"]) == repr(sent)
        assert [type(value) for value in one["values"]] == [type(value) for value in sent]


@needs_mpi
def test_ranks_have_the_kernels_of_the_process_that_starts_them(monkeypatch):
    assert ml.parallel.launch(f"{WORK}:kind") == ["numpy", "numpy"]
    monkeypatch.setattr(kinds, "_kind", "numba")
    if importlib.util.find_spec("numba") is not None:
        assert ml.parallel.launch(f"{WORK}:kind") == ["numba", "numba"]
    else:
        with pytest.raises(ml.UserError, match=r"rank 0: kernels = 'numba': Numba is not installed"):
            ml.parallel.launch(f"{WORK}:kind")


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (object(), "an object"),
        ([{"a": {1, 2}}], "a set"),
        (np.array([None]), "an array of object"),
        (lambda: 0, "function"),
    ],
)
def test_other_values_are_refused_in_one_line(tmp_path, value, named):
    with pytest.raises(ml.UserError, match="a result is or contains") as refused:
        values.save(tmp_path / "v", value, "a result")
    assert named in str(refused.value) and not list(tmp_path.iterdir())


def test_a_value_that_contains_itself_is_refused(tmp_path):
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ml.UserError, match="contains itself"):
        values.save(tmp_path / "v", circle, "a result")


def test_nothing_is_unpickled(tmp_path):
    import pickle

    (tmp_path / "v").write_bytes(pickle.dumps([1]))
    with pytest.raises(ValueError, match="pickle"):
        values.load(tmp_path / "v")


def test_work_that_ranks_cannot_find_is_refused_before_anything_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "mpiexec", lambda: pytest.fail("started"))

    def inner():
        pass

    wrong: list[tuple[Any, str]] = [
        (lambda: 0, "ranks cannot import .*lambda"),
        (inner, "ranks cannot import .*inner"),
        (3, "was given 3:"),
        ([].append, "was given <built-in method append"),
        (tmp_path / "none.py", "there is no file"),
    ]
    for work, line in wrong:
        with pytest.raises(ml.UserError, match=line):
            ml.parallel.launch(work)
    with pytest.raises(ml.UserError, match="processes = 0"):
        ml.parallel.launch(f"{WORK}:echo", processes=0)
    with pytest.raises(ml.UserError, match="argument of launch"):
        ml.parallel.launch(f"{WORK}:echo", object())


@needs_mpi
def test_one_rank_is_enough():
    (one,) = ml.parallel.launch(f"{WORK}:echo", 3, processes=1)
    assert (one["rank"], one["size"], one["values"]) == (0, 1, [3])


@needs_mpi
def test_arguments_that_a_function_does_not_take_are_one_line(tmp_path):
    (tmp_path / "work.py").write_text("def train(rule):\n    return rule\n")
    with pytest.raises(ml.UserError, match=r"launch\(train, ...\) was given 0 arguments for it: missing .*'rule'"):
        ml.parallel.launch(f"{tmp_path / 'work.py'}:train")


@needs_mpi
def test_a_function_that_the_file_lacks_is_one_line():
    with pytest.raises(ml.UserError, match=r"has no function 'ecko'; did you mean 'echo'"):
        ml.parallel.launch(f"{WORK}:ecko")


SCRIPT = """
import minilocal as ml
def square(x):
    from mpi4py import MPI
    print("in", __name__, flush=True)
    return x * x + MPI.COMM_WORLD.rank
{guard}print(ml.parallel.launch(square, 3))
"""


@needs_mpi
def test_a_function_of_the_script_itself(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.format(guard='if __name__ == "__main__": '))
    ran = python(tmp_path / "script.py")
    assert ran.stdout.splitlines() == ["in __mp_main__"] * 2 + ["[9, 10]"] and not ran.stderr


@needs_mpi
def test_a_call_without_the_guard_is_refused_in_the_ranks(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.format(guard=""))
    ran = python(tmp_path / "script.py")
    assert ran.returncode == 1 and "launch() was called inside a rank: put the call under if __name__" in ran.stderr


def test_a_function_of_a_notebook_is_refused_with_the_way_out():
    ran = python("-", stdin="import minilocal as ml\ndef f(): pass\nml.parallel.launch(f)")
    last = ran.stderr.strip().splitlines()[-1]
    assert "f is defined in a notebook, where ranks cannot import it: put %%writefile work.py at the top of " in last
    assert last.endswith('its cell, and launch("work.py:f").')


@needs_mpi
def test_in_a_running_loop_of_asyncio_as_in_jupyter_a_program_runs_with_its_words():
    code = f"""
import asyncio, sys
import minilocal as ml
async def cell():
    return ml.parallel.launch({str(WORK)!r}, "--epochs", 3)
print(asyncio.run(cell()), "mpi4py.MPI" in sys.modules)
"""
    ran = python("-c", code)
    *printed, last = ran.stdout.splitlines()
    assert sorted(printed) == [f"program ['--epochs', '3'] {rank}" for rank in (0, 1)]
    assert last == "[None, None] False", ran.stderr


@needs_mpi
def test_output_passes_as_bytes(capfdbinary):
    ml.parallel.launch(f"{WORK}:printed")
    out, err = capfdbinary.readouterr()
    assert out == "α and β\n".encode() and err == b"\r 50%"


def test_each_rank_gets_its_share_of_the_cores_unless_the_user_has_set_it(monkeypatch, tmp_path):
    monkeypatch.setattr(command, "available", lambda: 8)
    for name in command.THREADS:
        monkeypatch.delenv(name, raising=False)
    assert {command.environment(3, tmp_path)[name] for name in command.THREADS} == {"2"}
    assert command.environment(16, tmp_path)["OPENBLAS_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    env = command.environment(2, tmp_path)
    assert env["OMP_NUM_THREADS"] == "5" and env["OPENBLAS_NUM_THREADS"] == "4"


def test_ranks_of_a_job_on_a_cluster_are_of_this_machine_and_no_ranks_of_another_mpiexec(monkeypatch, tmp_path):
    monkeypatch.setenv("PMI_RANK", "3")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    env = command.environment(2, tmp_path)
    assert "PMI_RANK" not in env and "SLURM_STEP_NUM_TASKS" not in env and env["HYDRA_LAUNCHER"] == "fork"


def test_without_cross_memory_attach_mpich_is_told_so(monkeypatch, tmp_path):
    monkeypatch.delenv("MPIR_CVAR_CH4_CMA_ENABLE", raising=False)
    for allowed, setting in ((True, None), (False, "0")):
        monkeypatch.setattr(cma, "is_allowed", lambda allowed=allowed: allowed)
        assert command.environment(2, tmp_path).get("MPIR_CVAR_CH4_CMA_ENABLE") == setting


REFUSED = """
import ctypes, os, struct, sys
filter = b"".join(struct.pack("HBBI", *line) for line in (
    (0x20, 0, 0, 0), (0x15, 1, 0, 310), (0x15, 0, 1, 311), (6, 0, 0, 0x00050001), (6, 0, 0, 0x7FFF0000)))
text = ctypes.create_string_buffer(filter)
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 5, ctypes.addressof(text)))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, program, 0, 0) == 0
import minilocal as ml
print(ml.parallel.launch(sys.argv[1], 0.2))
"""


@needs_mpi
@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="a filter of Linux on x86-64")
def test_ranks_work_where_a_filter_refuses_cross_memory_attach_as_in_a_container():
    ran = python("-c", REFUSED, f"{WORK}:pass_round")
    assert ran.stdout == "[0, 1]\n", ran.stderr


SIGNALLED = (
    b"YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n"
    b"This typically refers to a problem with your application.\nPlease see the FAQ page for debugging suggestions\n"
)
BANNER = (
    b"\n" + RULE + b"=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   PID 7293 RUNNING AT vm\n"
    b"=   EXIT CODE: 9\n=   CLEANING UP REMAINING PROCESSES\n=   YOU CAN IGNORE THE BELOW CLEANUP MESSAGES\n"
    + RULE
    + SIGNALLED
)
ABORT = b"Abort(3) on node 1 (rank 1 in comm 0): application called MPI_Abort(MPI_COMM_WORLD, 3) - process 1\n"
OPEN = (  # Open MPI's, after MPI_Abort
    DASHES + b"MPI_ABORT was invoked on rank 1 in communicator MPI_COMM_WORLD\n  Proc: [[47319,1],1]\n\n"
    b"NOTE: invoking MPI_ABORT causes Open MPI to kill all MPI processes.\nYou may or may not see output from other\n"
    + 2 * DASHES
    + b'prterun has exited due to process rank 1 with PID 0 on node vm calling\n"abort". This may have caused other\n'
    b"terminated by signals sent by prterun (as reported here).\n" + DASHES + b"\0"
)  # fmt: skip
KILLED = DASHES + b"prterun noticed that process rank 1 with PID 29041 on node vm exited on\nsignal 9.\n" + DASHES
OWN = (
    b"\n\n" + DASHES + b"\n" + DASHES + b"mpiexec has\n" + RULE + b"title\n" + RULE + b"\n= a\nAbort(ed)\n"
    b"This typically refers to a problem\n\r 10%\r 20%\nend"
)


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("noise", [b"", BANNER, ABORT, BANNER + ABORT, OPEN, KILLED, b"[mpiexec@vm] Sending Ctrl-C\n"])
def test_mpis_words_are_taken_out_and_no_others(size, noise):
    text = OWN + b"\n" + noise + OWN + b"\n" + noise
    banner = Banner()
    out = b"".join(banner.feed(text[i : i + size]) for i in range(0, len(text), size)) + banner.end()
    assert out == OWN + b"\n" + OWN + b"\n"
    assert banner.signal == (9 if b"signal 9" in noise else None)


@pytest.mark.parametrize("pause", [False, True])
@pytest.mark.parametrize("own", [b"half a line", b"\n\r 10%", b"=", DASHES[:9] + b" ", DASHES + b"half"])
@pytest.mark.parametrize("noise", [SIGNALLED, ABORT, OPEN, KILLED, b"[mpiexec@vm] Ending\n"])
def test_mpis_words_are_taken_out_behind_a_line_that_a_rank_has_not_ended(noise, own, pause):
    banner = Banner()
    out = banner.feed(own) + banner.feed(noise) if pause else banner.feed(own + noise)
    assert out + banner.end() == own
    assert banner.signal == (9 if b"signal 9" in noise else None)


def test_a_progress_bar_is_not_held_back():
    banner = Banner()
    for text in (b"\repoch 1", b"\repoch 1 =", b"\r\n", b"a", b"\n", b"-" + DASHES, b"a [mpiexec\n"):
        assert banner.feed(text) == text


def test_a_rule_behind_a_line_is_held_back_until_the_next_line_says_whose_it_is():
    banner = Banner()
    assert banner.feed(b"half" + DASHES) == b"half" and banner.feed(b"title\n") == DASHES + b"title\n"
