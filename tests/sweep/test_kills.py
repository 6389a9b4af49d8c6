"""SIGKILL at any instant: finished cells stay as they are, and what is left ends with the bits of a quiet sweep.

The kills of one test are placed before and after calls that change a folder, those of the other come at random times to
real processes. MINILOCAL_SWEEP_KILLS is their number; 0 is every placed one.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import minilocal as ml
from minilocal.sweep import drain
from minilocal.train.stop import StopRequest
from tests.helpers.small_sweep import end_of, queue

KILLS = int(os.environ.get("MINILOCAL_SWEEP_KILLS", "6"))
SCRIPT = '''
import os, random, signal, sys
from pathlib import Path
from minilocal import record
from minilocal.sweep import Queue, drain
from minilocal.train.stop import StopRequest
from tests.helpers.small_sweep import end_of, queue

CALLS = ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "rename", "utime")
top, kills = Path(sys.argv[1]), int(sys.argv[2])
record.current_environment = dict  # it asks git, which takes long


def child(work):
    """A process that does `work`; its number."""
    number = os.fork()
    if number == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return number


def status(number):
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def killing(number, after):
    """Puts a kill before, or after, the `number`-th of CALLS; with number 0 it only counts them."""
    seen = []
    for name in CALLS:
        def call(*arguments, real=getattr(os, name), **options):
            seen.append(1)
            if len(seen) == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **options)
            finally:
                if len(seen) == number:
                    os.kill(os.getpid(), signal.SIGKILL)
        setattr(os, name, call)
    return seen


def count():
    seen = killing(0, False)
    drain(queue(top / "quiet"), StopRequest())
    (top / "calls").write_text(str(len(seen)))


def disturbed(path, number, after):
    killing(number, after)
    drain(Queue.read(path), StopRequest())


def contents(folder):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


assert status(child(count)) == 0
calls = int((top / "calls").read_text())
quiet = Queue.read(top / "quiet")
reference = {cell.name: end_of(quiet.folder(cell)) for cell in quiet.cells}
placed = [(number, after) for number in range(1, calls + 1) for after in (False, True)]
chosen = random.Random(0).sample(placed, min(kills or len(placed), len(placed)))
for number, after in chosen:
    path = top / f"{number}-{after}"
    sweep = queue(path)
    died = status(child(lambda: disturbed(path, number, after)))
    finished = {c.name: contents(sweep.folder(c)) for c in sweep.cells if (sweep.folder(c) / "done").exists()}
    if died != 0:  # the last calls are those of counting
        assert died == -signal.SIGKILL, (number, after, died)
    both = [child(lambda: drain(Queue.read(path), StopRequest())) for _ in range(2)]
    assert [status(one) for one in both] == [0, 0], (number, after)
    if not all(each.word == "done" for each in sweep.states()):  # a claim without a word in it: killed before the write
        claims = [file for file in path.glob("*/claim") if not file.read_text()]
        assert claims, (number, after, sweep.states())
        for file in claims:
            os.utime(file, (1.0, 1.0))
        drain(sweep, StopRequest())
    assert all(each.word == "done" for each in sweep.states()), (number, after, sweep.states())
    assert {cell.name: end_of(sweep.folder(cell)) for cell in sweep.cells} == reference, (number, after)
    for name, before in finished.items():
        now = contents(path / name)
        assert {file: now[file] for file in before if file != "claim"} == {
            file: facts for file, facts in before.items() if file != "claim"
        }, (number, after, name)
print(len(chosen), "of", len(placed))
'''


def test_a_kill_at_any_call_loses_no_finished_cell_and_trains_none_to_other_bits(tmp_path):
    root = Path(ml.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(KILLS)]
    process = subprocess.run(command, capture_output=True, text=True, env=env, cwd=root)
    assert process.returncode == 0, process.stderr
    assert process.stdout.split()[0] == str(KILLS) or KILLS == 0


def started(path: Path, *words: str) -> subprocess.Popen[bytes]:
    """`minilocal sweep --out PATH`, in a POSIX session that a signal reaches as a whole."""
    env = {**os.environ, "PYTHONPATH": str(Path(ml.__file__).parents[1]), "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "minilocal", "sweep", "--out", str(path), *words]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env, start_new_session=True
    )


def holders(path: Path) -> list[int]:
    """The processes that train cells."""
    numbers = []
    for file in path.glob("*/claim"):
        try:
            numbers.append(json.loads(file.read_text())["process"])
        except (OSError, ValueError):
            continue
    return numbers


def test_processes_that_are_killed_at_random_times_lose_nothing(tmp_path):
    """First a worker is killed, then the process that started it; the other worker sees that, and stops."""
    generator = random.Random(0)
    sweep = queue(tmp_path / "sweep", run__seed=[0, 1, 2], optim__epochs=[20])
    quiet = queue(tmp_path / "quiet", run__seed=[0, 1, 2], optim__epochs=[20])
    drain(quiet, StopRequest())
    kills = 0
    for _ in range(max(1, KILLS // 6)):
        process = started(sweep.path, "--jobs", "2")
        victims: list[int] = []
        while process.poll() is None and len(victims := holders(sweep.path)) < 2:
            time.sleep(0.01)
        for number in victims[:1]:
            time.sleep(generator.uniform(0, 0.2))
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
                kills += 1
        time.sleep(generator.uniform(0, 0.2))
        if process.poll() is None:  # not waited for, so that its number is its own
            process.kill()
            kills += 1
        process.wait(60)
        end = time.monotonic() + 60
        while any(each.word == "running" for each in sweep.states()):
            assert time.monotonic() < end
            time.sleep(0.05)
    assert kills >= 1
    drain(sweep, StopRequest())
    assert [end_of(sweep.folder(cell)) for cell in sweep.cells] == [end_of(quiet.folder(cell)) for cell in quiet.cells]
