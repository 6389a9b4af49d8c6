"""Weights to and from PyTorch's layout: every array by a transpose of its own, names as they are.

    convolution   here (k, k, I, O)   there (O, I, k, k)
    linear        here (I, O)         there (O, I)

Works on plain dicts of arrays, so no PyTorch is needed: `model.load_state_dict` takes what `to_torch` gives once each
array went through `torch.from_numpy`. PyTorch's own counters (`num_batches_tracked`) are left out on the way in.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minilocal.array import Array, to_host


def to_torch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{name: array} in PyTorch's layout, contiguous copies on the host."""
    axes = {2: (1, 0), 4: (3, 2, 0, 1)}
    return {name: _transposed(a, axes) for name, a in arrays.items()}


def from_torch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{name: array} in the engine's layout, contiguous copies on the host. Takes tensors' NumPy arrays."""
    axes = {2: (1, 0), 4: (2, 3, 1, 0)}
    return {name: _transposed(a, axes) for name, a in arrays.items() if not name.endswith("num_batches_tracked")}


def _transposed(a: Array, axes: dict[int, tuple[int, ...]]) -> np.ndarray:
    a = to_host(a)
    return np.array(a.transpose(axes[a.ndim]) if a.ndim in axes else a, order="C")
