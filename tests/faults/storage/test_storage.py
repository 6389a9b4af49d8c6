"""The short form of the part `storage`: some cases of each group, and what they say without what they rely on.

They run in a process of their own, since cases fork: pytest's may have threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.faults.storage.broken import MECHANISMS
from tests.faults.storage.child import ENVIRONMENT, ROOT
from tests.faults.storage.groups import GROUPS


def lines_of(option: str) -> list[dict[str, Any]]:
    """What `python -m tests.faults.storage OPTION` prints."""
    command = [sys.executable, "-m", "tests.faults.storage", option]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_some_cases_of_each_group():
    results = lines_of("--short")
    assert [result["group"] for result in results] == [*GROUPS]
    assert not [line for result in results for line in result["failures"]]
    assert all(result["tried"] + len(result["skipped"]) >= 2 for result in results)


LEAVES = """
import os, pathlib, signal, sys, time
from tests.faults.storage.case import Case, attempt
from tests.faults.storage.child import Child

def work(folder):
    child = Child(folder, lambda: time.sleep(600))
    child.kill(signal.SIGSTOP)
    (folder.parent / "number").write_text(str(child.number))
    raise AssertionError("wrong")

print(attempt([Case("one", work)], pathlib.Path(sys.argv[1])).failures)
os.kill(int(pathlib.Path(sys.argv[1], "number").read_text()), 0)
"""


def test_a_case_that_fails_leaves_no_process(tmp_path):
    command = [sys.executable, "-c", LEAVES, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    assert "['one: wrong" in done.stdout and "ProcessLookupError" in done.stderr


def test_each_check_is_red_without_what_it_relies_on():
    rows = lines_of("--broken")
    assert [row["without"] for row in rows if row["red"]] == [mechanism.without for mechanism in MECHANISMS]
