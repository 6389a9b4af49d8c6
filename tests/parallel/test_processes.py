"""`minilocal train --processes`, and the same command under mpiexec: found, stopped, killed, refused, resumed."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import minilocal as ml
from tests.helpers.rank_processes import ranks_below

BESIDE = Path(sys.executable).parent / "mpiexec"
pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("mpi4py") is None or not (BESIDE.exists() or shutil.which("mpiexec")),
        reason="needs mpi4py and mpiexec: pip install -e '.[mpi]'",
    ),
    pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc"),
]
SECONDS = 10
TRAIN = ["train", "--rule", "gll", "--net", "resnet8", "--modules", "3", "--limit-train", "256", "--limit-test", "64"]
MPIEXEC = [str(BESIDE) if BESIDE.exists() else "mpiexec", "-n", "2"]


@pytest.fixture
def command(tmp_path):
    """Start `minilocal WORDS` in an empty folder, by `starter` if any."""
    processes = []

    def start(*words, starter=(), **options):
        env = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1]), "TMPDIR": str(tmp_path)}
        line = [*starter, sys.executable, "-m", "minilocal", *map(str, words)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        processes.append(subprocess.Popen(line, cwd=tmp_path, env=env, text=True, **pipes))
        return processes[-1]

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.communicate()
    last = time.monotonic() + SECONDS
    while list(tmp_path.glob("minilocal-ranks-*")):
        assert time.monotonic() < last, "the ranks' folder is left"
        time.sleep(0.1)


def ended(process, status, seconds=60):
    """What a process prints until it ends with this status."""
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == status, err
    return out, err


def rows(run):
    """A run's metrics without its times."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in lines]


def running(command, *words):
    """A long run that has a checkpoint and is in its next steps, and its ranks' processes."""
    process = command(*TRAIN, "--epochs", 500, "--out", "run", *words)
    folder = Path(os.readlink(f"/proc/{process.pid}/cwd")) / "run"
    while not (folder / "checkpoint.npz").exists():
        time.sleep(0.02)
        assert process.poll() is None
    time.sleep(0.1)
    return process, folder, ranks_below(process.pid)


def test_the_run_is_that_of_one_process_and_mpiexec_finds_its_ranks_by_itself(command, tmp_path):
    ended(command(*TRAIN, "--epochs", 1, "--out", "alone"), 0)
    out, err = ended(command(*TRAIN, "--epochs", 1, "--out", "two", "--processes", 2), 0)
    assert out.splitlines()[0] == "run folder two" and out.count("epoch   1") == 1 and not err
    out, err = ended(command(*TRAIN, "--epochs", 1, "--out", "found", starter=MPIEXEC), 0)
    assert out.count("run folder") == 1 and not err
    assert rows(tmp_path / "alone") == rows(tmp_path / "two") == rows(tmp_path / "found")
    for run in ("two", "found"):
        assert json.loads((tmp_path / run / "config.json").read_text())["run"]["processes"] == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_every_rank_with_a_checkpoint(command, number):
    process, run, _ = running(command, "--processes", "2")
    process.send_signal(number)
    _, err = ended(process, 128 + number, SECONDS)
    stopped = r"minilocal: stopped after (\d+) of 500 epochs.*, and saved. Go on with: minilocal train --resume run\n"
    match = re.fullmatch(stopped, err)
    assert match, err
    if number == signal.SIGINT:  # and one process goes on with it
        alone = command("train", "--resume", "run", "--processes", 1)
        while len(rows(run)) <= int(match[1]):
            time.sleep(0.05)
        assert not ranks_below(alone.pid)
        alone.send_signal(signal.SIGINT)
        ended(alone, 130, SECONDS)


def test_a_second_signal_kills_and_the_last_checkpoint_is_named(command):
    process, _, _ = running(command, "--processes", "2")
    process.send_signal(signal.SIGSTOP)  # so that both wait for it
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    assert ended(process, 143, SECONDS)[1] == (
        "minilocal: stopped; the last checkpoint is in run: go on with minilocal train --resume run\n"
    )


def test_a_killed_rank_is_named_with_its_modules_and_the_run_goes_on_in_ranks(command):
    process, run, ranks = running(command, "--processes", "2")
    os.kill(ranks[1], signal.SIGKILL)
    assert re.fullmatch(
        r"minilocal: rank 1 \(modules 2-3\) (was killed by signal 9|left early); the last checkpoint is in run: "
        r"go on with minilocal train --resume run\n",
        ended(process, 1, SECONDS)[1],
    )
    done = len(rows(run))
    again = command("train", "--resume", "run")
    while len(rows(run)) <= done:
        time.sleep(0.05)
        assert again.poll() is None
    assert len(ranks_below(again.pid)) == 2
    again.send_signal(signal.SIGINT)
    ended(again, 130, SECONDS)


def test_a_killed_mpiexec_is_named(command):
    process, _, ranks = running(command, "--processes", "2")
    starter = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(starter, signal.SIGKILL)
    _, err = ended(process, 1, SECONDS)
    assert err.startswith("minilocal: mpiexec was killed by signal 9; the last checkpoint is in run: go on with")
    assert not any(_runs(pid) for pid in ranks.values())


@pytest.mark.parametrize("wait", [0.0, 1.0, 2.0])
def test_a_signal_before_the_first_step_stops_with_its_status(command, wait):
    process = command(*TRAIN, "--epochs", 500, "--out", "run", "--processes", "2")
    while not ranks_below(process.pid):
        time.sleep(0.01)
        assert process.poll() is None
    time.sleep(wait)
    process.send_signal(signal.SIGTERM)
    assert ended(process, 143, SECONDS)[1].startswith("minilocal: stopped")


def test_a_wrong_word_is_one_line_of_one_rank(command):
    assert ended(command("train", "--nonsense", "3", starter=MPIEXEC), 2)[1].count("minilocal: ") == 1


def _runs(pid: int) -> bool:
    """Whether this process runs; a process that has ended has no environment any more."""
    with suppress(OSError):
        return bool(Path(f"/proc/{pid}/environ").read_bytes())
    return False


def test_where_the_command_is_killed_its_ranks_save_and_end(command):
    process, run, ranks = running(command, "--processes", "2")
    before = (run / "checkpoint.npz").stat().st_mtime_ns
    process.kill()
    process.communicate()
    last = time.monotonic() + SECONDS
    while any(_runs(pid) for pid in ranks.values()):
        assert time.monotonic() < last, "a rank stays behind"
        time.sleep(0.05)
    assert (run / "checkpoint.npz").stat().st_mtime_ns > before
    assert not (run / "lock").exists()


@pytest.mark.parametrize(
    ("words", "starter", "line"),
    [
        (["--processes", 4], (), "run.processes = 4 (--processes) met net.modules = 3 (--modules): a process needs"),
        (["--processes", 0], (), "run.processes = 0 (--processes): expected int >= 1."),
        (["--processes", 3], MPIEXEC, "run.processes = 3 (--processes) met 2 ranks, which mpiexec or srun has started"),
        (["--modules", 1], MPIEXEC, "run.processes = 2 (mpiexec) met net.modules = 1 (--modules): a process needs a"),
        (["--processes", 2, "--modules", 9], (), "modules for a network of"),
    ],
)
def test_bad_numbers_are_one_line_of_one_rank(command, tmp_path, words, starter, line):
    out, err = ended(command(*TRAIN, *words, "--out", "run", starter=starter), 2)
    assert not out and err.count("\n") == 1 and line in err
    assert not (tmp_path / "run").exists()


def test_a_remark_is_printed_once(command):
    _, err = ended(command(*TRAIN, "--rule", "ddg", "--epochs", 2, "--processes", 2), 0)
    assert err.count("minilocal: ") == 1 and "DDG recommends" in err, err


def test_training_from_python_is_one_process():
    with pytest.raises(ml.UserError, match=r"run.processes = 2: train\(\) is one process. Use minilocal train --pro"):
        ml.train.train({"run": {"processes": 2}})


RULE = """
import os
import minilocal as ml
if os.environ.get("PMI_RANK") == "1":
    raise ZeroDivisionError("here only")
mine = ml.rules.gll()
"""


def test_an_error_of_one_rank_is_one_line_with_its_number(command, tmp_path):
    (tmp_path / "mine.py").write_text(RULE)
    _, err = ended(command("train", "--rule", "mine.py:mine", "--processes", 2, "--out", "run"), 2)
    assert re.fullmatch(r"minilocal: rank 1: .*ZeroDivisionError: here only.*\n", err)


def test_on_a_terminal_rank_0_shows_its_bar_as_wide_as_the_terminal(command):
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 61, 0, 0))
    process = command(*TRAIN, "--epochs", 1, "--processes", 2, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while data := os.read(ours, 4096):
            shown += data
    except OSError:  # the end of a terminal
        pass
    os.close(ours)
    ended(process, 0)
    bars = [bar for bar in shown.decode().split("\r") if "epoch 1/1" in bar]
    assert bars and all(55 < len(bar.rstrip("\n")) <= 61 for bar in bars)
