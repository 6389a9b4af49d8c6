"""The short form of the part `storage`: some cases of each group, and what they say without what they rely on.

Each group runs in a process of its own, since its cases fork: pytest's process may have threads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.faults.storage.child import ENVIRONMENT, ROOT
from tests.faults.storage.groups import GROUPS


def lines_of(*words: str) -> list[dict[str, Any]]:
    """What `python -m tests.faults.storage WORDS` prints."""
    command = [sys.executable, "-m", "tests.faults.storage", *words]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_cases(group):
    (result,) = lines_of(group, "--short")
    assert not result["failures"]
    assert result["tried"] + len(result["skipped"]) >= 4


def test_each_check_is_red_without_what_it_relies_on():
    rows = lines_of("--broken")
    assert len(rows) >= 8
    assert not [row["without"] for row in rows if not row["red"]]
