"""The plain forms: each kernel in a line or two of slices and products, for any array that knows those."""

from minilocal.kernels.plain.chance import dropout_mask
from minilocal.kernels.plain.convolution import conv, conv_backward
from minilocal.kernels.plain.elementwise import masked, relu
from minilocal.kernels.plain.images import crops
from minilocal.kernels.plain.norm import norm_apply, norm_backward, norm_commit, norm_statistics
from minilocal.kernels.plain.pool import max_pool, max_pool_backward
from minilocal.kernels.plain.products import along, bias_gradient, product, weight_gradient
from minilocal.kernels.plain.softmax import cross_entropy
from minilocal.kernels.plain.update import sgd

__all__ = [
    "along", "bias_gradient", "conv", "conv_backward", "crops", "cross_entropy", "dropout_mask", "masked", "max_pool",
    "max_pool_backward", "norm_apply", "norm_backward", "norm_commit", "norm_statistics", "product", "relu", "sgd",
    "weight_gradient",
]  # fmt: skip
