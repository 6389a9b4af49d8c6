"""Convolution as one matrix product: im2col, and its transpose col2im.

        z[n, p, q, o] = Σ_{i, j, c} x[n, s p + i - pad, s q + j - pad, c] W[i, j, c, o]

im2col writes every window as a row of k·k·C numbers. Then z = im2col(x) W, dW = im2col(x)ᵀ dz and dx = col2im(dz Wᵀ).
col2im adds every window back where it came from: it is the transpose of the linear map im2col, so
Σ im2col(x)·w = Σ x·col2im(w) for every x and w.

Only slices are used, so these lines run on NumPy, on CuPy and on any array with slices. Fast forms, tested equal:
`kernels/cpu/conv.py`, `kernels/cpu/winograd.py` and `kernels/cuda/conv.py`.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.ops.dispatch import op


def conv_out_size(size: int, window: int, stride: int, pad: int) -> int:
    """The number of windows along one side: P = ⌊(H + 2 pad - k) / s⌋ + 1."""
    return (size + 2 * pad - window) // stride + 1


def im2col(x: Array, k: int, stride: int = 1, pad: int = 0) -> Array:
    """Every window of every image as a row.        x (N, H, W, C)  →  (N, P, Q, k, k, C)"""
    xp = namespace(x)
    N, H, W, C = x.shape
    P, Q = conv_out_size(H, k, stride, pad), conv_out_size(W, k, stride, pad)
    x = xp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    cols = xp.empty((N, P, Q, k, k, C), x.dtype)
    for i in range(k):
        for j in range(k):
            cols[:, :, :, i, j] = x[:, i : i + stride * P : stride, j : j + stride * Q : stride]
    return cols


def col2im(cols: Array, shape: tuple[int, ...], stride: int = 1, pad: int = 0) -> Array:
    """The transpose of im2col: windows added where they came from.        cols (N, P, Q, k, k, C)  →  (N, H, W, C)"""
    xp = namespace(cols)
    (N, H, W, C), (P, Q, k) = shape, cols.shape[1:4]
    x = xp.zeros((N, H + 2 * pad, W + 2 * pad, C), cols.dtype)
    for i in range(k):
        for j in range(k):
            x[:, i : i + stride * P : stride, j : j + stride * Q : stride] += cols[:, :, :, i, j]
    return x[:, pad : pad + H, pad : pad + W]


@op
def conv2d(x: Array, W: Array, stride: int = 1, pad: int = 0) -> Array:
    """z = im2col(x) W.        x (N, H, W, C), W (k, k, C, O)  →  (N, P, Q, O)"""
    k, _, C, O = W.shape
    cols = im2col(x, k, stride, pad)
    return (cols.reshape(-1, k * k * C) @ W.reshape(-1, O)).reshape(*cols.shape[:3], O)


@op
def conv2d_backward(
    dz: Array, x: Array, W: Array, stride: int = 1, pad: int = 0, need: str = "both", add: Array | None = None
) -> tuple[Array | None, Array | None]:
    """(dx, dW) = (col2im(dz Wᵀ) [+ add], im2col(x)ᵀ dz); with `need` "input" or "weights" the other one is None.

    dz (N, P, Q, O), x (N, H, W, C), W (k, k, C, O), add as x, the error of another branch  →  dx as x, dW as W
    """
    k, _, C, O = W.shape
    rows, dx, dW = dz.reshape(-1, O), None, None
    if need != "weights":
        dx = col2im((rows @ W.reshape(-1, O).T).reshape(*dz.shape[:3], k, k, C), x.shape, stride, pad)
        dx = dx if add is None else dx + add
    if need != "input":
        dW = (im2col(x, k, stride, pad).reshape(-1, k * k * C).T @ rows).reshape(W.shape)
    return dx, dW
