"""Freed memory stays with the process: set once, in a process of its own, and no allocation minds."""

import ctypes
import subprocess
import sys
from pathlib import Path

import minilocal
from minilocal.kernels import malloc

CODE = """
import resource, sys
import numpy as np
from minilocal.kernels.malloc import retain_freed_memory

assert retain_freed_memory() == retain_freed_memory()

def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(megabytes << 18, "float32")
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults(40)
print(retain_freed_memory(), max(faults(40) for _ in range(5)))
"""


def test_a_freed_array_is_not_handed_back():
    package = str(Path(minilocal.__file__).parent.parent)
    code = f"import sys; sys.path.insert(0, {package!r})\n{CODE}"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert out[0] in ("True", "False")
    if out[0] == "True":
        assert int(out[1]) < 20, "40 MB are at least 20 pages of 2 MB, or 10,000 of 4 KB"


def test_elsewhere_than_on_linux_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert malloc.retain_freed_memory.__wrapped__() is False


def test_another_libc_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert malloc.retain_freed_memory.__wrapped__() is False
