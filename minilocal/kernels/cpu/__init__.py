"""Fast forms on NumPy: blocks that stay in the cache, shared by threads."""

from minilocal.kernels.cpu.adam import adam
from minilocal.kernels.cpu.batch_norm import batch_norm_apply, batch_norm_backward, batch_norm_stats
from minilocal.kernels.cpu.conv import conv2d, conv2d_backward
from minilocal.kernels.cpu.conv_stats import conv2d_stats
from minilocal.kernels.cpu.matmul import matmul, matmul_dw, sum_rows
from minilocal.kernels.cpu.pool import max_pool, max_pool_backward
from minilocal.kernels.cpu.relu import relu, relu_backward
from minilocal.kernels.cpu.sgd import sgd

__all__ = [
    "adam",
    "batch_norm_apply",
    "batch_norm_backward",
    "batch_norm_stats",
    "conv2d",
    "conv2d_backward",
    "conv2d_stats",
    "matmul",
    "matmul_dw",
    "max_pool",
    "max_pool_backward",
    "relu",
    "relu_backward",
    "sgd",
    "sum_rows",
]  # fmt: skip

FORMS = {name: globals()[name] for name in __all__}  # what `ops.dispatch` chooses from
