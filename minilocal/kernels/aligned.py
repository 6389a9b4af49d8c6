"""Arrays that begin at a multiple of 64 bytes, a line of the cache and a register of AVX-512.

NumPy's own begin anywhere at a multiple of 16. A register's numbers then lie in two lines, and are read twice.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

BYTES = 64


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `np.empty`."""
    return _begun(np.empty, shape, np.dtype(dtype))


def zeros(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """As `np.zeros`."""
    return _begun(np.zeros, shape, np.dtype(dtype))


def _begun(make: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    raw = make(prod(shape) * dtype.itemsize + BYTES, np.uint8)
    return np.ndarray(shape, dtype, raw, -raw.ctypes.data % BYTES)
