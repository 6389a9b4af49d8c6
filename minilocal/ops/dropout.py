"""Dropout masks: numbers that depend on a name only, never on what was drawn before."""

from __future__ import annotations

import numpy as np

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op
from minilocal.streams import StreamKey


@op
def dropout_mask(x: Array, rate: float, name: StreamKey, clock: Array | None = None) -> Array:
    """0 with probability `rate`, else 1/(1 - rate): an array like x, float32 numbers of the stream `name` ≥ rate.

    `clock`, (epoch, step) as int64 where x lives, is for forms that may not have these two built in.
    """
    mask = (name.stream().random(x.shape, dtype=np.float32) >= rate).astype(x.dtype)
    mask *= 1 / (1 - rate)
    return namespace(x).asarray(mask)
