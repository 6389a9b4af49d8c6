"""Arrays that lie against a page that nobody may touch: an index beyond one is a segmentation fault, not silence."""

import ctypes
import mmap
from math import prod
from typing import Any

import numpy as np
import pytest

from minilocal.kernels import aligned, workspace

PAGE = mmap.PAGESIZE
LIBC = ctypes.CDLL(None, use_errno=True)


def empty(shape: tuple[int, ...], dtype: Any, side: str = "end") -> np.ndarray:
    """Zeros that end where a forbidden page begins, or, with "start", begin where one ends."""
    need = prod(shape) * np.dtype(dtype).itemsize
    pages = max(1, -(-need // PAGE))
    memory = mmap.mmap(-1, (pages + 2) * PAGE)
    begin = np.frombuffer(memory, np.uint8).ctypes.data
    for page in (begin, begin + (pages + 1) * PAGE):
        if LIBC.mprotect(ctypes.c_void_p(page), PAGE, mmap.ACCESS_DEFAULT):  # 0: neither read nor written
            raise OSError(ctypes.get_errno(), "mprotect")
    return np.ndarray(shape, dtype, memory, PAGE if side == "start" else (pages + 1) * PAGE - need)


def like(a: np.ndarray, side: str = "end") -> np.ndarray:
    """A copy of `a` there."""
    guarded = empty(a.shape, a.dtype, side)
    guarded[...] = a
    return guarded


def results_and_scratch(patch: pytest.MonkeyPatch, side: str) -> None:
    """What kernels make, and what they write between, lies there too."""
    for name in ("empty", "zeros"):
        patch.setattr(aligned, name, lambda shape, dtype: empty(tuple(shape), dtype, side))
    patch.setattr(workspace, "within", lambda raw, shape, dtype: empty(shape, dtype, side))
