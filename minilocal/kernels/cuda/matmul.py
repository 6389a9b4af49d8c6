"""Products of rows and a matrix on CuPy: convolutions of images of one pixel.

The library's product may be as fast where the matrix is wide, but CuPy cannot record it in a graph, and a step's bits
are not to hang on whether it is recorded. Plain twin: plain/products.py.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.kernels.cuda import im2col, weight_grad
from minilocal.kernels.cuda.conv import conv2d


def matmul(x: Array, W: Array) -> Array:
    """x W.        x (rows, I), W (I, O)  →  (rows, O)"""
    return conv2d(x[:, None, None], W[None, None]).reshape(len(x), W.shape[1])


def matmul_dw(x: Array, dy: Array) -> Array:
    """dW = xᵀ dy.        x (rows, I), dy (rows, O)  →  (I, O)"""
    xp = namespace(x, dy)
    x, dy = (xp.ascontiguousarray(a)[:, None, None] for a in (x, dy))
    dW = weight_grad.weight_gradient(dy, x, 1, 1, 0)
    dW = im2col.weight_gradient(dy, x, 1, 1, 0) if dW is None else dW
    return dW.reshape(x.shape[3], dy.shape[3])
