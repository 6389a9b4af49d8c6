"""SIGKILL before and after every call that changes a run's folder: resumed, it ends as the run that was not killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import minilocal as ml

SCRIPT = '''
import json, os, signal, sys
from pathlib import Path
import numpy as np
from minilocal import record
from minilocal.errors import UserError
from minilocal.train import train
from tests.helpers.small_run import configuration

CALLS = ("fsync", "replace", "link", "unlink", "mkdir", "rename")
top = Path(sys.argv[1])
record.current_environment = dict  # it asks git, which takes long


def in_a_child(work):
    """The status of a process that does `work`."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


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


def end_of(path):
    arrays, progress = record.checkpoint(path)
    rows = [{k: v for k, v in row.items() if "seconds" not in k} for row in record.rows(path)]
    return {k: a.tobytes() for k, a in arrays.items()}, progress["progress"], rows


def begin(path, number=0, after=False):
    seen = killing(number, after)
    train(configuration(path))
    (path / "calls").write_text(str(len(seen)))


def go_on(path, number=0, after=False):
    seen = killing(number, after)
    train(resume=path, epochs=3)
    (path / "calls").write_text(str(len(seen)))


def count(work, path):
    assert in_a_child(lambda: work(path)) == 0
    calls = int((path / "calls").read_text())
    (path / "calls").unlink()
    return calls


train(configuration(top / "warm"))  # everything is imported by now
whole = top / "whole"
calls = count(begin, whole), count(go_on, whole)
assert min(calls) > 10, calls
expected, kills, refused = end_of(whole), 0, 0
for number in range(1, calls[0] + 1):
    for after in (False, True):
        path = top / f"begin{number}{after}"
        assert (end := in_a_child(lambda: begin(path, number, after))) == -signal.SIGKILL, (end, path, calls)
        kills += 1
        if not (path / "config.json").exists():
            refused += 1
            train(configuration(path))
        train(resume=path, epochs=3)
        assert end_of(path) == expected, path
        left = sorted(p.name for p in path.iterdir())
        assert left == sorted(p.name for p in whole.iterdir()), left
for number in range(1, calls[1] + 1):
    for after in (False, True):
        path = top / f"go_on{number}{after}"
        train(configuration(path))
        assert in_a_child(lambda: go_on(path, number, after)) == -signal.SIGKILL
        kills += 1
        assert (path / "checkpoint.npz").exists(), path
        train(resume=path, epochs=3)
        assert end_of(path) == expected, path
print(json.dumps({"kills": kills, "before_config": refused}))
'''


def test_every_kill_that_can_be_placed(tmp_path):
    top = Path(ml.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(top), "TQDM_DISABLE": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, env=environment, cwd=top
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["kills"] > 60
