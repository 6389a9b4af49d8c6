"""matmul, matmul_dw (ops/matmul.py) in CUDA: convolutions of images of one pixel.

The library's product may be as fast where the matrix is wide. But CuPy cannot record it in a graph, and a step's bits
must not depend on whether it is recorded.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.device import tf32
from minilocal.kernels.cuda import im2col, implicit_gemm, weight_grad
from minilocal.kernels.cuda.conv import conv2d


def matmul(x: Array, W: Array) -> Array:
    """x W, as a 1×1 convolution; by the transpose of a matrix, as the input error of one, which turns W as it reads."""
    y, shape = None, (len(x), 1, 1, W.shape[1])
    if not W.flags.c_contiguous and W.T.flags.c_contiguous and W.dtype == x.dtype and not tf32():
        dz = namespace(x, W).ascontiguousarray(x)[:, None, None]
        y = implicit_gemm.input_error(dz, W.T[None, None], shape, 1, 0)
    return (conv2d(x[:, None, None], W[None, None]) if y is None else y).reshape(len(x), W.shape[1])


def matmul_dw(x: Array, dy: Array) -> Array:
    """xᵀ dy, as the weight gradient of a 1×1 convolution."""
    xp = namespace(x, dy)
    x, dy = (xp.ascontiguousarray(a)[:, None, None] for a in (x, dy))
    dW = weight_grad.weight_gradient(dy, x, 1, 1, 0)
    dW = im2col.weight_gradient(dy, x, 1, 1, 0) if dW is None else dW
    return dW.reshape(x.shape[3], dy.shape[3])
