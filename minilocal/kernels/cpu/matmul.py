"""Products on NumPy, cut so that threads share them.

A large product is cut over rows, or over columns where the rows are few and W is wide (then W is read once, not once
per part); a sum over rows is cut into a fixed partition whose partial sums are added in index order.
"""

from __future__ import annotations

import numpy as np

from minilocal.array import Array
from minilocal.kernels.threads import ordered_sum, parallel_map, partition

FEW_ROWS = 2048  # below this a part of the rows is too thin for BLAS, and columns are cut instead
WORTH = 1 << 21  # multiply-adds below which a product is one call
COLUMN_PARTS = 4


def matmul(x: Array, W: Array) -> Array:
    """x W.        x (rows, I), W (I, O)  →  (rows, O)"""
    if x.shape[0] * W.size < WORTH:
        return x @ W
    y = np.empty((x.shape[0], W.shape[1]), x.dtype)
    if x.shape[0] >= FEW_ROWS:
        parallel_map(lambda i, j: np.matmul(x[i:j], W, out=y[i:j]), partition(x.shape[0]))
    else:
        parallel_map(lambda i, j: np.matmul(x, W[:, i:j], out=y[:, i:j]), partition(W.shape[1], COLUMN_PARTS))
    return y


def matmul_dw(x: Array, dy: Array) -> Array:
    """dW = xᵀ dy.        x (rows, I), dy (rows, O)  →  (I, O)"""
    rows, inputs = x.shape
    if rows * inputs * dy.shape[1] < WORTH:
        return x.T @ dy
    if rows >= FEW_ROWS:
        return ordered_sum(parallel_map(lambda i, j: x[i:j].T @ dy[i:j], partition(rows)))
    dW = np.empty((inputs, dy.shape[1]), x.dtype)
    parallel_map(lambda i, j: np.matmul(x[:, i:j].T, dy, out=dW[i:j]), partition(inputs, COLUMN_PARTS))
    return dW


def sum_rows(dy: Array) -> Array:
    """db = Σₙ dy.        dy (rows, O)  →  (O,)"""
    return ordered_sum(parallel_map(lambda i, j: np.ones(j - i, dy.dtype) @ dy[i:j], partition(dy.shape[0])))
