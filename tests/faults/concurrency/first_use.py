"""Processes that compile Numba's kernels into one new folder at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

PROGRAM = """
import minilocal as ml
from tests.faults.concurrency.learners import trained
ml.use_threads(1)
ml.use_kernels("numba")
print(trained())
"""


def at_once(number: int = 3) -> str:
    """All get the bits of one that finds them compiled, and say nothing but that they compile."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "NUMBA_CACHE_DIR": folder}
        words = [sys.executable, "-c", PROGRAM]
        pipe = subprocess.PIPE
        started = [subprocess.Popen(words, env=env, stdout=pipe, stderr=pipe, text=True) for _ in range(number)]
        ended = [process.communicate() for process in started]
        later = subprocess.run(words, env=env, capture_output=True, text=True)
    messages = [line for _, err in ended for line in err.splitlines() if "compiling Numba kernels, once" not in line]
    if messages or later.stderr:
        return f"stderr: {(messages or [later.stderr])[0]}"
    return "" if {out for out, _ in ended} == {later.stdout} and later.stdout.strip() else "other bits"
