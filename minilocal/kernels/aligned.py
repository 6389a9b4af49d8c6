"""Arrays that begin at a multiple of 64 bytes, a line of the cache and a register of AVX-512.

NumPy's own begin at any multiple of 16. A register's numbers then lie in two lines, and both are read.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

BYTES = 64


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `np.empty`."""
    return within(np.empty(byte_count(shape, dtype), np.uint8), shape, dtype)


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `np.zeros`."""
    return within(np.zeros(byte_count(shape, dtype), np.uint8), shape, dtype)


def byte_count(shape: tuple[int, ...], dtype: Any) -> int:
    """The bytes within which such an array lies, wherever they begin."""
    return prod(shape) * np.dtype(dtype).itemsize + BYTES


def within(raw: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """The array in these bytes."""
    return np.ndarray(shape, dtype, raw, -raw.ctypes.data % BYTES)
