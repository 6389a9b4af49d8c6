"""The forms that are fast on NumPy: blocks that stay in the cache, and threads that share them."""

from minilocal.kernels.cpu.convolution import conv, conv_backward
from minilocal.kernels.cpu.elementwise import masked, relu
from minilocal.kernels.cpu.norm import norm_apply, norm_backward, norm_statistics
from minilocal.kernels.cpu.pool import max_pool, max_pool_backward
from minilocal.kernels.cpu.products import bias_gradient, product, weight_gradient
from minilocal.kernels.cpu.update import sgd

__all__ = [
    "bias_gradient", "conv", "conv_backward", "masked", "max_pool", "max_pool_backward", "norm_apply", "norm_backward",
    "norm_statistics", "product", "relu", "sgd", "weight_gradient",
]  # fmt: skip
