"""The forms that are fast on CuPy: kernels in CUDA C++, each beside the plain form that it is tested equal to."""

from minilocal.kernels.cuda.along import along
from minilocal.kernels.cuda.chance import dropout_mask
from minilocal.kernels.cuda.convolution import conv, conv_backward
from minilocal.kernels.cuda.elementwise import masked, relu
from minilocal.kernels.cuda.images import crops
from minilocal.kernels.cuda.norm import norm_apply, norm_backward, norm_commit, norm_statistics
from minilocal.kernels.cuda.pool import max_pool, max_pool_backward
from minilocal.kernels.cuda.products import product, weight_gradient
from minilocal.kernels.cuda.softmax import cross_entropy
from minilocal.kernels.cuda.update import sgd

__all__ = [
    "along", "conv", "conv_backward", "crops", "cross_entropy", "dropout_mask", "masked", "max_pool",
    "max_pool_backward", "norm_apply", "norm_backward", "norm_commit", "norm_statistics", "product", "relu", "sgd",
    "weight_gradient",
]  # fmt: skip
