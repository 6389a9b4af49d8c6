"""Matrix products of a linear layer and of a 1×1 convolution, and a product along one axis of a feature map.

y = x W        dx = dy Wᵀ        dW = xᵀ dy        db = Σₙ dy        x (rows, I), W (I, O), y (rows, O)
"""

from __future__ import annotations

from minilocal.array import Array
from minilocal.ops.dispatch import op


@op
def matmul(x: Array, W: Array) -> Array:
    """x W.        x (rows, I), W (I, O)  →  (rows, O)"""
    return x @ W


@op
def matmul_dw(x: Array, dy: Array) -> Array:
    """dW = xᵀ dy.        x (rows, I), dy (rows, O)  →  (I, O)"""
    return x.T @ dy


@op
def sum_rows(dy: Array) -> Array:
    """db = Σₙ dy.        dy (rows, O)  →  (O,)"""
    return dy.sum(axis=0)


@op
def matmul_axis1(A: Array, x: Array) -> Array:
    """y[n, p, b] = Σ_h A[p, h] x[n, h, b].        A (P, H), x (N, H, B)  →  (N, P, B)"""
    return A @ x
