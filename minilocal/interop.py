"""Weights to and from PyTorch's layout: every array by a transpose of its own, names as they are.

    convolution   minilocal (k, k, I, O)   PyTorch (O, I, k, k)
    linear        minilocal (I, O)         PyTorch (O, I)

Both directions work on plain dicts of arrays, without PyTorch. For `model.load_state_dict`, convert each array of
`to_torch` by `torch.from_numpy`. `from_torch` leaves out PyTorch's counters (`num_batches_tracked`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minilocal.array import Array, to_host
from minilocal.errors import UserError

__all__ = ["from_torch", "to_torch"]


def __dir__() -> list[str]:
    return sorted(__all__)


def to_torch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{name: array} in PyTorch's layout, contiguous copies on the host.

    (k, k, I, O)  →  (O, I, k, k), (I, O)  →  (O, I)

    Raises: UserError for a Learner, or anything else that is no mapping of arrays.
    """
    _check_arrays("to_torch", arrays, "parameters", "{**learner.parameters(), **learner.buffers()}")
    axes = {2: (1, 0), 4: (3, 2, 0, 1)}
    return {name: _transposed(a, axes) for name, a in arrays.items()}


def from_torch(arrays: Mapping[str, Array]) -> dict[str, np.ndarray]:
    """{name: array} in the engine's layout and of the same type, contiguous copies on the host: of tensors or arrays.

    (O, I, k, k)  →  (k, k, I, O), (O, I)  →  (I, O)

    Raises: UserError for a model, a checkpoint that holds its weights deeper down, or anything else but arrays; and for
    bfloat16, which NumPy does not have.
    """
    _check_arrays("from_torch", arrays, "state_dict", "model.state_dict()")
    axes = {2: (1, 0), 4: (2, 3, 1, 0)}
    return {name: _transposed(a, axes) for name, a in arrays.items() if not name.endswith("num_batches_tracked")}


def _check_arrays(function: str, arrays: Any, method: str, instead: str) -> None:
    """Raises: UserError where `arrays` is not {name: array}; it suggests `instead` for an object with `method`."""
    if not isinstance(arrays, Mapping):
        hint = f"give {instead}" if hasattr(arrays, method) else "give a dict of arrays"
        raise UserError(f"{function} takes {{name: array}}, not a {type(arrays).__name__}: {hint}.")
    for name, a in arrays.items():
        if isinstance(a, Mapping):
            raise UserError(f'{function}: {name!r} is a dict itself, not an array: give checkpoint["{name}"].')
        if not isinstance(name, str):
            raise UserError(f"{function}: {name!r} is no name: give {{name: array}}, as {instead} does.")
        if not hasattr(a, "dtype"):
            raise UserError(f"{function}: {name!r} is a {type(a).__name__}, not an array: leave it out.")
        if str(a.dtype) == "torch.bfloat16":
            raise UserError(
                f"{function}: {name!r} is bfloat16, which NumPy does not have: give model.float().state_dict()."
            )


def _transposed(a: Array, axes: dict[int, tuple[int, ...]]) -> np.ndarray:
    a = a.detach().cpu().numpy() if hasattr(a, "detach") else to_host(a)  # a tensor
    return np.array(a.transpose(axes[a.ndim]) if a.ndim in axes else a, order="C")
