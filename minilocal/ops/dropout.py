"""Dropout masks from a keyed random stream: the same mask for the same key, whatever was drawn before."""

from __future__ import annotations

import numpy as np

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op
from minilocal.streams import StreamKey


@op
def dropout_mask(x: Array, rate: float, key: StreamKey, clock: Array | None = None) -> Array:
    """A mask for x: 0 with probability `rate`, else 1/(1 - rate).        x of any shape  →  the same

    It is u ≥ rate for float32 numbers u of the stream that `key` names.

    `clock` (2,) int64 holds the key's epoch and step where x lives, for a CUDA graph that is launched at many steps.
    The plain code ignores it.
    """
    mask = (key.stream().random(x.shape, dtype=np.float32) >= rate).astype(x.dtype)
    mask *= 1 / (1 - rate)
    return namespace(x).asarray(mask)
