"""Cross-memory attach: whether one process may read another's memory, by which MPI copies a large message once.

Containers often refuse it, and MPICH then fails in the first large message instead of copying twice.
"""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

REMEDY = "docker run --cap-add=SYS_PTRACE, or sysctl kernel.yama.ptrace_scope=0, makes large messages faster"
CAP_SYS_PTRACE = 19
YAMA = Path("/proc/sys/kernel/yama/ptrace_scope")


class _Part(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


@cache
def is_allowed() -> bool:
    """Whether the kernel lets ranks read each other's memory; false outside Linux."""
    return sys.platform == "linux" and _reads_itself() and _may_read_siblings()


def _reads_itself() -> bool:
    """Whether the system call exists and no filter of a container refuses it."""
    source, target = (ctypes.create_string_buffer(letter, 1) for letter in (b"x", b"o"))
    parts = [_Part(ctypes.addressof(buffer), 1) for buffer in (target, source)]
    with suppress(OSError, AttributeError):
        call = ctypes.CDLL(None).process_vm_readv
        call.restype = ctypes.c_ssize_t
        read = call(os.getpid(), ctypes.byref(parts[0]), 1, ctypes.byref(parts[1]), 1, ctypes.c_ulong(0))
        return bool(read == 1 and target.raw == source.raw)
    return False


def _may_read_siblings() -> bool:
    """Whether Yama, the Linux security module, leaves processes that are not parent and child alone."""
    with suppress(OSError, ValueError):
        if int(YAMA.read_text()) > 0:
            status = Path("/proc/self/status").read_text()
            capabilities = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff"))
            return bool(int(capabilities, 16) >> CAP_SYS_PTRACE & 1)
    return True
