"""`minilocal sweep`: its grid, its four starts, its table, and what it refuses."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minilocal as ml
from minilocal.cli.sweep import starts
from minilocal.sweep import Queue
from tests.helpers.small_run import SMALL
from tests.helpers.small_sweep import end_of

GRID = [*SMALL, "--rule", "backlink,gll", "--set", "rule.alpha=0.25,0.5", "--seeds", "0-1"]
LONG = [word if word != "1" else "300" for word in SMALL[:-2]]
LONG += ["--threads", "1", "--rule", "gll", "--seeds", "0-3", "--out", "long"]
BESIDE = Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")


def start(folder: Path, *words: str, by: tuple[str, ...] = (), **env: str) -> subprocess.Popen[str]:
    """`minilocal sweep WORDS` as a process."""
    line = [*by, sys.executable, "-m", "minilocal", "sweep", *words]
    root = str(Path(ml.__file__).parents[1])
    surroundings = {**os.environ, "PYTHONPATH": root, "TQDM_DISABLE": "1", **env}
    return subprocess.Popen(
        line, cwd=folder, env=surroundings, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def words_of(path: Path) -> list[str]:
    return [state.word for state in Queue.read(path).states()]


def wait_for_a_row(path: Path) -> None:
    end = time.monotonic() + 60
    while not list(path.glob("*/metrics.jsonl")):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_grid_is_trained_shown_and_not_trained_again(minilocal, tmp_path):
    status, out, err = minilocal("sweep", *GRID, "--out", "sweep")
    assert status == 0 and words_of(tmp_path / "sweep") == ["done"] * 6
    assert err.splitlines() == [
        "minilocal: rule.alpha (--set rule.alpha) is left out for gll, which has no such option."
    ]
    lines = out.splitlines()
    assert lines[0] == "sweep: 0 of 6 done, 6 left" and lines[6].endswith("(6 of 6 done)")
    assert lines[8].split() == ["rule", "alpha", "seeds", "test", "error", "(%)"]
    assert [line.split()[:3] for line in lines[9:]] == [
        ["backlink", "0.25", "2"], ["backlink", "0.5", "2"], ["gll", "-", "2"]
    ]  # fmt: skip
    assert all(" ± " in line for line in lines[9:])
    status, out, _ = minilocal("sweep", "--out", "sweep")
    assert status == 0 and out.splitlines()[0] == "sweep: 6 of 6 done" and out.splitlines()[2:] == lines[8:]


def test_the_mean_and_deviation_are_those_of_the_last_rows(minilocal, tmp_path):
    _, out, _ = minilocal("sweep", *SMALL, "--rule", "gll", "--seeds", "0-2", "--out", "sweep")
    queue = Queue.read(tmp_path / "sweep")
    errors = [end_of(queue.folder(cell))[1][-1]["test_error"] for cell in queue.cells]
    assert out.splitlines()[-1].split() == ["3", f"{np.mean(errors):.2f}", "±", f"{np.std(errors, ddof=1):.2f}"]


def test_the_list_trains_nothing_and_the_status_reads_the_folders(minilocal, tmp_path):
    status, out, _ = minilocal("sweep", *GRID, "--out", "sweep", "--list")
    assert status == 0 and out.splitlines()[-1] == "6 cells" and not (tmp_path / "sweep").exists()
    assert out.splitlines()[0].split() == ["folder", "rule", "seed", "alpha"]
    assert minilocal("sweep", *SMALL, "--rule", "gll", "--seeds", "0-1", "--out", "sweep")[0] == 0
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "sweep").rglob("*")}
    status, out, _ = minilocal("sweep", "--out", "sweep", "--status")
    assert status == 0 and out.splitlines()[-1] == "2 of 2 done" and out.splitlines()[1].split()[2:] == ["done", "1/1"]
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "sweep").rglob("*")} == before


def test_the_same_question_has_the_same_folder_by_itself(minilocal, tmp_path):
    words = [*SMALL[:-2], "--rule", "gll", "--seeds", "0-1"]
    assert minilocal("sweep", *words)[0] == 0
    (folder,) = (tmp_path / "sweeps").iterdir()
    assert folder.name.startswith("seed-") and len(Queue.read(folder).cells) == 2
    status, out, _ = minilocal("sweep", *words, "--threads", "2")
    assert status == 0 and out.startswith(f"sweeps/{folder.name}: 2 of 2 done")


@pytest.mark.parametrize(
    "words, why",
    [
        ("", "the grid is empty"), ("--seeds 3-1", "the grid is empty"), ("--lr 0.1, --seeds 0", "an empty value"),
        ("--seeds 0 --jobs 0", "--jobs = 0"), ("--set optim.lrr=1,2", "did you mean 'lr'"),
        ("--rule gll,backlnk", "did you mean 'backlink'"), ("--lrr 1", "did you mean '--lr'"),
        ("--rule backlink,gll --set rule.alpah=0.1,0.2", "did you mean 'alpha'"),
        ("--modules 3,3,2", "the value 3 twice. Values with commas of their own are separated by ';'"),
        ("--schedule steps:15,30:0.2", "Values with commas of their own"), ("--threads 1,2 --seeds 0", "one value"),
        ("--seed 1 --seeds 0-1", "set by --seed and by --seeds"), ("--set run.out=x --seeds 0", "give --out DIR"),
        ("--set run.processes=2 --seeds 0", "give --jobs N"), ("--set run.device=cuda --seeds 0", "give --device"),
        ("--device cuda:0,0 --seeds 0", "a device twice"), ("--device cuda:0,1 --jobs 1 --seeds 0", "2 devices"),
        ("--preset nope --seeds 0", "preset 'nope' is not known"), ("--out nowhere", "nowhere is no sweep"),
        ("--out full --seeds 0", "full is no sweep and not empty"), ("--slurm a/notes --seeds 0 --out b", "is not a"),
        ("--dataset cifar10 --no-download --data-dir nowhere --seeds 0-1", "cifar10 was not found"),
        ("--device cuda:0,1 --slurm a.sh --seeds 0 --out b", "2 devices"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_and_trains_nothing(minilocal, tmp_path, words, why):
    for name in ("full", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes").touch()
    status, out, err = minilocal("sweep", *words.split())
    assert status == 2 and why in err and err.count("\n") == 1 and not out
    assert not list(tmp_path.rglob("config.json"))


def test_a_preset_and_a_file_may_have_several_values_too(minilocal, tmp_path):
    (tmp_path / "a.toml").write_text("[optim]\nlr = 0.1\n")
    (tmp_path / "b.toml").write_text("[optim]\nlr = 0.2\nnesterov = true\n")
    status, out, _ = minilocal("sweep", *SMALL[:-4], "--config", "a.toml,b.toml", "--list", "--out", "sweep")
    assert status == 0 and [line.split()[-1] for line in out.splitlines()[1:3]] == ["a.toml", "b.toml"]
    status, out, _ = minilocal("sweep", "--preset", "backlink-conv,fdg", "--list", "--out", "sweep")
    assert status == 0 and out.splitlines()[-1] == "2 cells"


def test_a_failed_cell_is_said_and_trained_again_on_request(minilocal, tmp_path):
    lr = SMALL.index("--lr") + 1
    words = [*SMALL[:lr], "1e8,0.05", *SMALL[lr + 1 :], "--rule", "gll", "--seeds", "0", "--out", "sweep"]
    status, out, _ = minilocal("sweep", *words)
    assert status == 1 and "diverged" in out and "1 of 2 done, 1 failed" in out and "--retry" in out
    status, out, _ = minilocal("sweep", "--out", "sweep")
    assert status == 1 and "diverged" not in out
    status, out, _ = minilocal("sweep", "--out", "sweep", "--retry")
    assert status == 1 and "diverged" in out
    assert "diverged" in minilocal("sweep", "--out", "sweep", "--status")[1]


def test_several_processes_end_with_the_same_bits(minilocal, tmp_path):
    assert minilocal("sweep", *GRID, "--out", "one")[0] == 0
    status, out, _ = minilocal("sweep", *GRID, "--out", "two", "--jobs", "2")
    assert status == 0 and "0 of 6 done, 6 left; 2 processes" in out and "(6 of 6 done)" in out
    one, two = Queue.read(tmp_path / "one"), Queue.read(tmp_path / "two")
    assert [end_of(one.folder(cell)) for cell in one.cells] == [end_of(two.folder(cell)) for cell in two.cells]


@pytest.mark.parametrize(
    "jobs, number, status",
    [("1", signal.SIGTERM, 75), ("2", signal.SIGUSR1, 75), ("1", signal.SIGINT, 130), ("2", signal.SIGINT, 130)],
)
def test_a_stop_saves_gives_claims_back_and_says_how_to_go_on(tmp_path, jobs, number, status):
    process = start(tmp_path, *LONG, "--jobs", jobs)
    wait_for_a_row(tmp_path / "long")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    again = "minilocal sweep --out long --threads 1" + " --jobs 2" * (jobs == "2")
    assert err.endswith(f"Go on with: {again}\n") and err.count("\n") == 1
    assert not list(tmp_path.glob("long/*/claim*")) and list(tmp_path.glob("long/*/checkpoint.npz"))
    assert "running" not in words_of(tmp_path / "long")


@pytest.mark.parametrize(
    "machine, devices, jobs, words",
    [
        ({}, [], 1, ""),
        ({"run.threads": 2, "run.kernels": "numba"}, [], 3, " --set=run.kernels=numba --threads 2 --jobs 3"),
        ({"run.tf32": True}, ["cuda:0", "cuda:1"], 2, " --set=run.tf32=true --device cuda:0,cuda:1"),
        ({}, ["cuda:0", "cuda:1"], 4, " --device cuda:0,cuda:1 --jobs 4"),
    ],
)
def test_going_on_says_what_this_machine_was_told(tmp_path, machine, devices, jobs, words):
    queue = Queue(tmp_path, [])
    work = starts.Work(queue, queue, machine, devices, jobs, ["sweep", "--out", "a b"], str)
    assert work.again() == f"minilocal sweep --out 'a b'{words}"


@pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec: pip install -e '.[mpi]'")
def test_under_mpiexec_each_process_claims(tmp_path, minilocal):
    assert minilocal("sweep", *GRID, "--out", "one")[0] == 0
    process = start(tmp_path, *GRID, "--out", "two", by=(str(MPIEXEC), "-n", "2"))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert out.count("test error (%)") == 1 and out.count("(6 of 6 done)") >= 1 and err.count("\n") == 1
    one, two = Queue.read(tmp_path / "one"), Queue.read(tmp_path / "two")
    assert [end_of(one.folder(cell)) for cell in one.cells] == [end_of(two.folder(cell)) for cell in two.cells]
    process = start(tmp_path, "--out", "two", "--jobs", "2", by=(str(MPIEXEC), "-n", "2"))
    assert "--jobs met 2 processes of mpiexec" in process.communicate(timeout=120)[1]


def test_a_slurm_task_saves_before_its_limit_is_requeued_and_goes_on(tmp_path, minilocal):
    """The script by bash, with a `scontrol` that only writes its words down."""
    status, out, _ = minilocal("sweep", *LONG, "--jobs", "3", "--slurm", "sweep.sh")
    script = tmp_path / "sweep.sh"
    text = script.read_text()
    assert status == 0 and out == "sweep.sh: 4 of 4 cells are left. Submit it with: sbatch --time=4:00:00 sweep.sh\n"
    assert "#SBATCH --array=1-4%3 --requeue --signal=B:USR1@120" in text and words_of(tmp_path / "long") == ["left"] * 4
    (tmp_path / "bin").mkdir()
    control = tmp_path / "bin" / "scontrol"
    control.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/said\n')
    control.chmod(0o755)
    env = {
        **os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1]), "SLURM_JOB_ID": "12", "TQDM_DISABLE": "1",
        "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
    }  # fmt: skip
    task = subprocess.Popen(["bash", str(script)], env=env, cwd="/", stdout=subprocess.DEVNULL)
    wait_for_a_row(tmp_path / "long")
    task.send_signal(signal.SIGUSR1)
    assert task.wait(60) == 75 and (tmp_path / "said").read_text() == "requeue 12\n"
    assert not list(tmp_path.glob("long/*/claim*")) and list(tmp_path.glob("long/*/checkpoint.npz"))
    assert minilocal("sweep", *SMALL, "--rule", "gll", "--seeds", "0", "--out", "short", "--slurm", "short.sh")[0] == 0
    assert subprocess.run(["bash", "short.sh"], env=env, stdout=subprocess.DEVNULL).returncode == 0
    assert words_of(tmp_path / "short") == ["done"] and (tmp_path / "said").read_text() == "requeue 12\n"


def test_a_slurm_task_has_a_gpu_and_threads_where_they_are_asked_for(minilocal, tmp_path):
    words = [*SMALL, "--rule", "gll", "--seeds", "0", "--out", "a sweep", "--device", "cuda"]
    assert minilocal("sweep", *words, "--slurm", "jobs/sweep.sh")[0] == 0
    text = (tmp_path / "jobs" / "sweep.sh").read_text()
    assert "--gpus-per-task=1" in text and "--cpus-per-task=1" in text and "--job-name=a_sweep " in text
    assert "--device cuda --threads 1 &" in text and f"--out '{tmp_path}/a sweep'" in text
    assert minilocal("sweep", *words, "--slurm", "jobs/sweep.sh")[0] == 0  # its own file is written again


def test_the_help_shows_the_options_of_every_rule_that_is_named(minilocal, capsys):
    with pytest.raises(SystemExit):
        minilocal("sweep", "--rule", "backlink,fdg", "--help")
    text = capsys.readouterr().out
    assert "options of backlink" in text and "options of fdg" in text and "--retry" in text
