"""Fast forms on NumPy's arrays, compiled by Numba (extra `fast`); the others are those of kernels/cpu.

A form has a fixed partition of the batch, as there, and sums in the order of their indices.
"""

from __future__ import annotations

from minilocal.kernels.cpu import FORMS as IN_NUMPY
from minilocal.kernels.numba.adam import adam
from minilocal.kernels.numba.augment import crop_flip_normalise
from minilocal.kernels.numba.batch_norm import batch_norm_apply, batch_norm_backward, batch_norm_stats
from minilocal.kernels.numba.compiled import say_first_use
from minilocal.kernels.numba.conv import conv2d, conv2d_backward
from minilocal.kernels.numba.conv_stats import conv2d_stats
from minilocal.kernels.numba.pool import max_pool, max_pool_backward
from minilocal.kernels.numba.relu import relu, relu_backward
from minilocal.kernels.numba.sgd import sgd

FORMS = {  # what `ops.dispatch` chooses from
    **IN_NUMPY,
    "adam": adam,
    "batch_norm_apply": batch_norm_apply,
    "batch_norm_backward": batch_norm_backward,
    "batch_norm_stats": batch_norm_stats,
    "conv2d": conv2d,
    "conv2d_backward": conv2d_backward,
    "conv2d_stats": conv2d_stats,
    "crop_flip_normalise": crop_flip_normalise,
    "max_pool": max_pool,
    "max_pool_backward": max_pool_backward,
    "relu": relu,
    "relu_backward": relu_backward,
    "sgd": sgd,
}

say_first_use()
