"""Keep freed memory in the process: the next step asks for the same arrays again.

A step frees all that it has allocated, some 300 MB in large arrays. glibc would hand those back to Linux. The next step
would pay for the same pages: each is cleared, and mapped at its first touch. That was a tenth of a step. Two settings
of malloc end it for the whole process. Arrays of up to KEPT bytes come from the heap. A heap that has grown is not cut
while less than TRIM bytes of its end are free. The peak stays what it was, but memory once reached is not returned.

Nothing happens on other systems than Linux with glibc.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache

KEPT, TRIM = 256 << 20, (1 << 31) - 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h


@cache
def retain_freed_memory() -> bool:
    """Set both, once in the life of the process. Returns whether that succeeded."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  (missing in another libc, whose numbers may differ)
        return bool(libc.mallopt(M_MMAP_THRESHOLD, KEPT) and libc.mallopt(M_TRIM_THRESHOLD, TRIM))
    except (OSError, AttributeError):
        return False
