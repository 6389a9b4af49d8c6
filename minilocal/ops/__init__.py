"""The plain arithmetic of every operation, in slices and products, for any array that knows those.

Read these files to know what the engine computes. A call may run a fast form (`minilocal.kernels`) that is tested equal
to the code here; inside `reference()` it runs the code here.

    conv.py         im2col, its transpose, and convolution as one matrix product
    conv_stats.py   convolution with the statistics for the batch norm behind it
    batch_norm.py   statistics, normalisation and its backward pass
    matmul.py       a linear layer's products and their transposes
    mix.py          a linked unit's gradient from its two
    relu.py pool.py softmax.py dropout.py augment.py sgd.py adam.py
    dispatch.py     which code a call runs
"""

from minilocal.ops.adam import adam
from minilocal.ops.augment import crop_flip_normalise
from minilocal.ops.batch_norm import batch_norm_apply, batch_norm_backward, batch_norm_stats, batch_norm_update_running
from minilocal.ops.conv import conv2d, conv2d_backward
from minilocal.ops.conv_stats import conv2d_stats
from minilocal.ops.dispatch import reference
from minilocal.ops.dropout import dropout_mask
from minilocal.ops.matmul import matmul, matmul_axis1, matmul_dw, sum_rows
from minilocal.ops.mix import mix
from minilocal.ops.pool import (
    global_average_pool,
    global_average_pool_backward,
    max_pool,
    max_pool_backward,
)
from minilocal.ops.relu import relu, relu_backward
from minilocal.ops.sgd import sgd
from minilocal.ops.softmax import cross_entropy

__all__ = [
    "adam",
    "batch_norm_apply",
    "batch_norm_backward",
    "batch_norm_stats",
    "batch_norm_update_running",
    "conv2d",
    "conv2d_backward",
    "conv2d_stats",
    "crop_flip_normalise",
    "cross_entropy",
    "dropout_mask",
    "global_average_pool",
    "global_average_pool_backward",
    "matmul",
    "matmul_axis1",
    "matmul_dw",
    "max_pool",
    "max_pool_backward",
    "mix",
    "reference",
    "relu",
    "relu_backward",
    "sgd",
    "sum_rows",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
