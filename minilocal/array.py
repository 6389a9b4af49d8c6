"""Which library an array lives in, and copies of it on the host.

The array decides: `namespace(x)` is NumPy for a NumPy array, CuPy for a CuPy array, and whatever an array names
itself through `__array_namespace__`. No global switch, no silent conversion.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray, cupy.ndarray, or any type with __array_namespace__


def namespace(*arrays: Array) -> Any:
    """The library that these arrays live in: `numpy`, `cupy`, or the one that they name.

    Raises: TypeError when arrays of two homes meet, naming both and the remedy.
    """
    first = type(arrays[0])
    if all(type(a) is first for a in arrays):
        return np if first is np.ndarray else _home(arrays[0])
    homes = {_home(a) for a in arrays}
    if len(homes) > 1:
        names = " and ".join(sorted(h.__name__ for h in homes))
        raise TypeError(
            f"{names} arrays met in one call: the batch and the network live in different places. "
            "Move the batch with minilocal.to_device(batch, device), or build the Learner with device='cpu'."
        )
    return homes.pop()


def _home(array: Array) -> Any:
    if isinstance(array, (np.ndarray, np.generic)):
        return np
    if hasattr(array, "__array_namespace__"):
        return array.__array_namespace__()
    root = type(array).__module__.partition(".")[0]
    if root in ("builtins", "jaxlib", "torch") or root not in sys.modules:
        raise TypeError(f"expected a NumPy or CuPy array, got {type(array).__name__}: convert it with numpy.asarray.")
    return sys.modules[root]


def is_device(xp: Any) -> bool:
    """Whether arrays of library `xp` are on a device: all but NumPy's, unless the library says otherwise."""
    return xp is not np and bool(getattr(xp, "is_device", True))


def to_host(array: Array) -> np.ndarray:
    """`array` as a NumPy array. From a device this waits and copies, so it never happens inside a step."""
    return array if isinstance(array, np.ndarray) else array.get() if hasattr(array, "get") else np.asarray(array)


def host_copy(value: Any, dtype: Any = None) -> np.ndarray:
    """A NumPy array of its own: a copy of an array, wherever it lives, or of plain numbers."""
    return np.array(to_host(value) if hasattr(value, "dtype") else value, dtype)
