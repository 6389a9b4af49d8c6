"""The plain forms: each kernel in a line or two of slices and products, for any array that knows those."""

from minilocal.ops.augment import crop_flip_normalise
from minilocal.ops.batch_norm import batch_norm_apply, batch_norm_backward, batch_norm_stats, batch_norm_update_running
from minilocal.ops.conv import conv2d, conv2d_backward
from minilocal.ops.dropout import dropout_mask
from minilocal.ops.matmul import matmul, matmul_axis1, matmul_dw, sum_rows
from minilocal.ops.pool import max_pool, max_pool_backward
from minilocal.ops.relu import relu, relu_backward
from minilocal.ops.sgd import sgd
from minilocal.ops.softmax import cross_entropy

__all__ = [
    "batch_norm_apply",
    "batch_norm_backward",
    "batch_norm_stats",
    "batch_norm_update_running",
    "conv2d",
    "conv2d_backward",
    "crop_flip_normalise",
    "cross_entropy",
    "dropout_mask",
    "matmul",
    "matmul_axis1",
    "matmul_dw",
    "max_pool",
    "max_pool_backward",
    "relu",
    "relu_backward",
    "sgd",
    "sum_rows",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
