"""Arrays as NumPy's: an `Array` on the CPU is one, and NumPy's functions take it only by that name."""

from __future__ import annotations

import numpy as np

from minilocal.array import Array


def host(array: Array | None) -> np.ndarray:
    """`array` itself, which is there and is NumPy's."""
    assert isinstance(array, np.ndarray | np.generic), f"no NumPy array: {type(array).__name__}"
    return np.asarray(array)
