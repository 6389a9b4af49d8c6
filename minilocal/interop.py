"""Weights to and from PyTorch's layout: every array by a transpose of its own, names as they are.

    convolution   here (k, k, I, O)   there (O, I, k, k)
    linear        here (I, O)         there (O, I)

Works on plain dicts of arrays, so no PyTorch is needed: `model.load_state_dict` takes what `to_torch` gives once each
array went through `torch.from_numpy`. PyTorch's own counters (`num_batches_tracked`) are left out on the way in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minilocal.array import Array, to_host
from minilocal.errors import UserError


def to_torch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{name: array} in PyTorch's layout, contiguous copies on the host.

    Raises: UserError for a Learner, or anything else that is no mapping of arrays.
    """
    _are_arrays("to_torch", arrays, "parameters", "{**learner.parameters(), **learner.buffers()}")
    axes = {2: (1, 0), 4: (3, 2, 0, 1)}
    return {name: _transposed(a, axes) for name, a in arrays.items()}


def from_torch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{name: array} in the engine's layout, contiguous copies on the host. Takes tensors and NumPy arrays.

    Raises: UserError for a model, a checkpoint that holds its weights deeper down, or anything else but arrays.
    """
    _are_arrays("from_torch", arrays, "state_dict", "model.state_dict()")
    axes = {2: (1, 0), 4: (2, 3, 1, 0)}
    return {name: _transposed(a, axes) for name, a in arrays.items() if not name.endswith("num_batches_tracked")}


def _are_arrays(function: str, given: Any, method: str, instead: str) -> None:
    """Holds that `given` is {name: array}; what has the method `method` was meant to be asked for them."""
    if not isinstance(given, Mapping):
        hint = f"give {instead}" if hasattr(given, method) else "give a dict of arrays"
        raise UserError(f"{function} takes {{name: array}}, not a {type(given).__name__}: {hint}.")
    for name, a in given.items():
        if isinstance(a, Mapping):
            raise UserError(f'{function}: {name!r} is a dict itself, not an array: give checkpoint["{name}"].')
        if not hasattr(a, "dtype"):
            raise UserError(f"{function}: {name!r} is a {type(a).__name__}, not an array: leave it out.")


def _transposed(a: Array, axes: dict[int, tuple[int, ...]]) -> np.ndarray:
    a = a.detach().cpu().numpy() if hasattr(a, "detach") else to_host(a)  # a tensor
    return np.array(a.transpose(axes[a.ndim]) if a.ndim in axes else a, order="C")
