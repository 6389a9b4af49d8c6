"""dx of conv2d_backward (ops/conv.py) on NumPy for 3×3, stride 2, padding 1: four pixels of x for one window of dz.

The idea. Pixel h of x meets tap i of output p where h = 2 p - 1 + i: an even row 2 p meets tap 1 of p, an odd one
2 p + 1 taps 2 of p and 0 of p + 1. Columns likewise. So two pixels side by side, 2 C numbers, are a product of the 2×2
window of dz that begins at (p, q), or of its upper half:

    dx[2 p, 2 q : 2 q + 2] = dz[p, q : q + 2] E₁
    dx[2 p + 1, 2 q : 2 q + 2] = dz[p, q : q + 2] E₂ + dz[p + 1, q : q + 2] E₀                                    (1)

Row i of the kernel is Eᵢ (2 O, 2 C), with a zero block where no tap joins the two pixels. That is 12 products for 9,
but each number of dx is written once; col2im adds 9 strided images.

A NaN of dz meets the zero blocks too, so it reaches both pixels of a pair.
"""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.threads import parallel_map, partition
from minilocal.kernels.workspace import scratch, workspace

BLOCK = 600 << 10  # bytes of windows at a time
LARGEST = 1 << 12  # channels in x channels out above which 12 products for 9 cost more than the additions


def fits(shape: tuple[int, ...], W: Array, stride: int, pad: int) -> bool:
    """Whether this form fits images of `shape` and is the faster one: a function of shapes alone."""
    (_, H, B, _), (k, _, C, O) = shape, W.shape
    return (k, stride, pad) == (3, 2, 1) and H % 2 == B % 2 == 0 and C * O <= LARGEST


def conv2d_dx(dz: Array, x: Array, W: Array) -> Array:
    """(1), block by block.        dz (N, P, Q, O), x (N, 2 P, 2 Q, C), W (3, 3, C, O)  →  dx (N, 2 P, 2 Q, C)"""
    (N, P, Q, O), C = dz.shape, x.shape[3]
    E = _pairs(W)
    even, odd = E[1], np.concatenate((E[2], E[0]))
    dx = np.empty(x.shape, x.dtype)
    rows = dx.reshape(N, P, 2, Q, 2 * C)
    step = max(1, BLOCK // (P * Q * 4 * O * x.itemsize))

    def part(first: int, last: int) -> None:
        for i in range(first, last, step):
            j = min(i + step, last)
            windows = _windows(dz[i:j])
            np.matmul(windows[..., : 2 * O], even, out=rows[i:j, :, 0])
            np.matmul(windows, odd, out=rows[i:j, :, 1])

    parallel_map(part, partition(N))
    return dx


def _pairs(W: Array) -> Array:
    """Eᵢ: from the errors at q and q + 1 to the pixels 2 q and 2 q + 1.        (3, 3, C, O)  →  (3, 2 O, 2 C)"""
    C, O = W.shape[2:]
    E, taps = np.zeros((3, 2, O, 2, C), W.dtype), W.transpose(0, 1, 3, 2)
    E[:, 0, :, 0], E[:, 0, :, 1], E[:, 1, :, 1] = taps[:, 1], taps[:, 2], taps[:, 0]
    return E.reshape(3, 2 * O, 2 * C)


def _windows(dz: Array) -> Array:
    """The 2×2 windows of dz, with zeros beyond its last row and column.        (n, P, Q, O)  →  (n, P, Q, 4 O)"""
    n, P, Q, O = dz.shape
    image = scratch("strided", (n, P + 1, Q + 1, O), dz.dtype)  # its last row and column stay zero
    image[:, :P, :Q] = dz
    of_image, of_row, of_pixel, of_number = image.strides
    windows = np.ndarray((n, P, Q, 2, 2 * O), dz.dtype, image, 0, (of_image, of_row, of_pixel, of_row, of_number))
    copied = workspace("strided windows", windows.shape, dz.dtype)
    np.copyto(copied, windows)
    return copied.reshape(n, P, Q, 4 * O)
