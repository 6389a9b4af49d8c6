"""Fast forms for libraries that build CUDA kernels (CuPy): CUDA C++, each tested equal to its operation in `ops`."""

from minilocal.kernels.cuda.augment import crop_flip_normalise
from minilocal.kernels.cuda.batch_norm import batch_norm_apply, batch_norm_backward, batch_norm_stats
from minilocal.kernels.cuda.conv import conv2d, conv2d_backward
from minilocal.kernels.cuda.conv_stats import conv2d_stats
from minilocal.kernels.cuda.dropout import dropout_mask
from minilocal.kernels.cuda.matmul import matmul, matmul_dw
from minilocal.kernels.cuda.mix import mix
from minilocal.kernels.cuda.pool import (
    global_average_pool,
    global_average_pool_backward,
    max_pool,
    max_pool_backward,
)
from minilocal.kernels.cuda.relu import relu, relu_backward
from minilocal.kernels.cuda.resize import matmul_axis1
from minilocal.kernels.cuda.running_stats import batch_norm_update_running
from minilocal.kernels.cuda.sgd import sgd
from minilocal.kernels.cuda.softmax import cross_entropy

__all__ = [
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
    "relu",
    "relu_backward",
    "sgd",
]  # fmt: skip

FORMS = {name: globals()[name] for name in __all__}  # what `ops.dispatch` chooses from
