"""No operation's compiled form reads or writes beyond its arrays, its results or its scratch, whatever the geometry."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import minilocal

pytest.importorskip("numba", reason="Numba is not installed (extra `fast`)")
if not sys.platform.startswith("linux"):
    pytest.skip("pages are forbidden as on Linux", allow_module_level=True)

TOP = Path(minilocal.__file__).parents[1]
CASES = 25


def ended(*args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", "-W", "ignore", "-m", "tests.kernels.guard_pages", *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=TOP)


@pytest.mark.parametrize("side", ["end", "start"])
def test_every_operation_stays_inside_its_arrays(side):
    done = ended(side, str(CASES))
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_number_beyond_an_array_is_a_fault():
    assert ended("beyond").returncode == -signal.SIGSEGV
