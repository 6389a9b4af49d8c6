"""matmul, matmul_dw, sum_rows (ops/matmul.py) on NumPy, cut so that threads share them.

A large product is cut over rows; over columns where the rows are few and W is wide, so that W is read once. A sum over
rows is cut into a fixed partition, whose partial sums are added in index order.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import ordered_sum, parallel_map, partition

FEW_ROWS = 2048  # with fewer, a part of the rows is too thin for BLAS: columns are cut
WORTH = 1 << 21  # multiply-adds below which a product is one call
COLUMN_PARTS = 4
SMALL = 1_000_000  # rows x inner x columns up to which OpenBLAS multiplies without packing


def matmul(x: Array, W: Array) -> Array:
    """x W, in one call or cut over rows or columns."""
    if x.shape[0] * W.size < WORTH:
        return x @ W
    y = np.empty((x.shape[0], W.shape[1]), x.dtype)
    if x.shape[0] >= FEW_ROWS:
        parallel_map(lambda i, j: np.matmul(x[i:j], W, out=y[i:j]), partition(x.shape[0]))
    else:
        parallel_map(lambda i, j: np.matmul(x, W[:, i:j], out=y[:, i:j]), partition(W.shape[1], COLUMN_PARTS))
    return y


def matmul_dw(x: Array, dy: Array) -> Array:
    """xᵀ dy, in one call, as partial sums over rows, or cut over the rows of dW."""
    rows, inputs = x.shape
    if rows * inputs * dy.shape[1] < WORTH:
        return x.T @ dy
    if rows >= FEW_ROWS:
        return ordered_sum(parallel_map(lambda i, j: x[i:j].T @ dy[i:j], partition(rows)))
    dW = np.empty((inputs, dy.shape[1]), x.dtype)
    parallel_map(lambda i, j: np.matmul(x[:, i:j].T, dy, out=dW[i:j]), partition(inputs, COLUMN_PARTS))
    return dW


def sum_rows(dy: Array) -> Array:
    """Σₙ dy, as partial sums: products with a row of ones."""
    parts = partition(dy.shape[0])
    ones = np.ones(dy.shape[0] - parts[-1][0], dy.dtype)  # the last part is a longest one
    return ordered_sum(parallel_map(lambda i, j: ones[: j - i] @ dy[i:j], parts))


def unpacked(rows: int, inner: int, columns: int) -> int:
    """In how many equal runs of rows a product is small enough for OpenBLAS to multiply without packing; 1 if none."""
    runs = 1
    while rows % (2 * runs) == 0 and rows // runs * inner * columns > SMALL:
        runs *= 2
    fits = rows // runs * inner * columns <= SMALL and rows // runs >= 64
    return runs if fits else 1
