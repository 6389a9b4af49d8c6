"""Freed memory stays with the process, since the next step asks for the same arrays again.

A step frees all that it has allocated, some 300 MB in large arrays. glibc hands those back to Linux, and the next step
pays for the same pages anew: each is cleared, and mapped at its first touch. That was a tenth of a step. Two settings
of malloc end it, for the whole process and for good: arrays of up to KEPT bytes come from the heap, and a heap that has
grown is not cut while less than TRIM bytes of its end are free. The peak is what it was; what was reached stays.

Elsewhere than on Linux with glibc, nothing happens.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

KEPT, TRIM = 256 << 20, (1 << 31) - 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h


@cache
def retain_freed_memory() -> bool:
    """Sets both, once in the life of the process; whether they could be set."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  (another libc does not have it, and may read the numbers otherwise)
        return bool(libc.mallopt(M_MMAP_THRESHOLD, KEPT) and libc.mallopt(M_TRIM_THRESHOLD, TRIM))
    except (OSError, AttributeError):
        return False
