"""Killed at named points and resumed, a run ends as the one that was not killed; and each check can fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.kills.breaking import WITHOUT
from tests.faults.kills.ranks import missing

ROOT = Path(__file__).parents[3]


def short(what):
    """What `short.py` prints of its part."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TQDM_DISABLE": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.faults.kills.short", what]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("what", "least"), [("points", 70), ("others", 24), ("ranks", 2)])
def test_a_run_that_is_killed_goes_on_to_the_same_end(what, least):
    if what == "ranks" and (reason := missing()):
        pytest.skip(reason)
    counts = short(what)
    assert not counts["failures"], "\n".join(counts["failures"])
    assert counts["kills"] >= least and counts["right"] == counts["ends"] and not counts["unreadable"]


def test_each_check_goes_red_without_what_it_relies_on():
    counts = short("broken")["red"]
    assert set(counts) == {*WITHOUT, "the lock", "the kill"}
    assert all(counts.values()), counts
