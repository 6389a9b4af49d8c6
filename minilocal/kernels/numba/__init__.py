"""Fast forms on NumPy's arrays, compiled by Numba (extra `fast`); the others are those of kernels/cpu.

A form has the same fixed partition of the batch as there, and sums in the order of their indices.
"""

from __future__ import annotations

from minilocal.kernels.cpu import FORMS as IN_NUMPY
from minilocal.kernels.numba.compiled import say_first_use
from minilocal.kernels.numba.conv import conv2d, conv2d_backward

# What `ops.dispatch` chooses from.
FORMS = IN_NUMPY | {
    "conv2d": conv2d,
    "conv2d_backward": conv2d_backward,
}  # fmt: skip

say_first_use()
