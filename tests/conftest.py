"""Side by side, each test process works on one thread: more would only take the neighbours' cores.

JAX compiles many references: each process keeps what it has compiled in a folder of its own, for its other tests and
for the next time, and leaves out what only pays where a reference runs long.

A script's background ignores SIGINT, and so would every process that a test starts: here it is what it is elsewhere.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import minilocal as ml

CACHE = "JAX_COMPILATION_CACHE_DIR"
COMPILED = Path(__file__).parents[1] / "build/jax" / os.environ.get("PYTEST_XDIST_WORKER", "alone")
QUICK = "--xla_cpu_use_fusion_emitters=false"

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    ml.use_threads(1)

if Path(os.environ.get(CACHE, COMPILED)).parent == COMPILED.parent:  # not the user's; pytest's own is handed down
    os.environ[CACHE] = str(COMPILED)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def pytest_configure(config):
    """XLA's switch for the processes to come, where this JAX knows it: an unknown one would end them."""
    if getattr(config.option, "numprocesses", None) and "XLA_FLAGS" not in os.environ:
        command = [sys.executable, "-c", "import jax; jax.devices('cpu')"]
        if not subprocess.run(command, env={**os.environ, "XLA_FLAGS": QUICK}, capture_output=True).returncode:
            os.environ["XLA_FLAGS"] = QUICK


@pytest.fixture(scope="module", autouse=True)
def compiled_references_of_a_file():
    """What JAX has compiled for a file's tests is let go after them: of all files it would be gigabytes a process."""
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
