"""The forms that are fast on NumPy: blocks that stay in the cache, and threads that share them."""

from minilocal.kernels.cpu.convolution import conv, conv_backward
from minilocal.kernels.cpu.elementwise import masked, relu
from minilocal.kernels.cpu.norm import norm_apply, norm_backward, norm_statistics
from minilocal.kernels.cpu.products import bias_gradient, product, weight_gradient

__all__ = [
    "bias_gradient", "conv", "conv_backward", "masked", "norm_apply", "norm_backward", "norm_statistics", "product",
    "relu", "weight_gradient",
]  # fmt: skip
