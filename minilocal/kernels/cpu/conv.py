"""conv2d, conv2d_backward (ops/conv.py) on NumPy: im2col block by block, in the second-level cache.

The idea. A whole batch's im2col is k² times the batch. Writing it to memory takes longer than the product that reads
it. So a few images at a time are laid out in a buffer of about half a megabyte, and multiplied while they are in the
cache. With channels last, the k windows of one image row are one run of k·C numbers, so the layout is one strided copy.

Backward, stride 1: dx is a convolution of dz with the flipped kernel W', and the same im2col of dz gives the weight
gradient: dx = im2col(dz) W', dWᵀ = xᵀ im2col(dz). Otherwise dW = im2col(x)ᵀ dz and dx = col2im(dz Wᵀ). im2col is
computed again in the backward, never kept. Most 3×3 convolutions go to `winograd.py`, dx of those of stride 2 to
`strided.py`, 1×1 ones to `matmul.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.cpu import strided, winograd
from minilocal.kernels.cpu.matmul import matmul, matmul_dw, unpacked
from minilocal.kernels.threads import ordered_sum, parallel_map, partition
from minilocal.kernels.workspace import scratch
from minilocal.ops.conv import conv_out_size

BLOCK = 600 << 10  # bytes of im2col at a time: it, its images and its product fit a 1 MB second-level cache
PARTIALS = 16 << 20  # bytes that the partial weight gradients of one layer may take together

Block = tuple[int, int, int, int]  # images n0:n1, output rows p0:p1


def conv2d(x: Array, W: Array, stride: int = 1, pad: int = 0) -> Array:
    """z = im2col(x) W, from blocks or by Winograd's form."""
    (N, H, B, C), (k, _, _, O) = x.shape, W.shape
    if (k, stride, pad) == (1, 1, 0):
        return matmul(x.reshape(-1, C), W.reshape(C, O)).reshape(N, H, B, O)
    P, Q = conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad)
    if winograd.fits(x.shape, W, stride, pad):
        return winograd.conv2d(x, W)
    z, flat = np.empty((N, P, Q, O), x.dtype), W.reshape(-1, O)

    def part(first: int, last: int) -> None:
        for block in _blocks(first, last, P, Q * k * k * C * x.itemsize):
            n0, n1, p0, p1 = block
            _multiply(_windows(x, block, k, stride, pad, Q), flat, z[n0:n1, p0:p1])

    parallel_map(part, partition(N))
    return z


def conv2d_backward(
    dz: Array, x: Array, W: Array, stride: int = 1, pad: int = 0, need: str = "both", add: Array | None = None
) -> tuple[Array | None, Array | None]:
    """(dx, dW). No bit of either depends on `need`."""
    dx, dW = _both(dz, x, W, stride, pad, need)
    if dx is not None and add is not None:
        dx += add
    return dx, dW


def _both(dz: Array, x: Array, W: Array, stride: int, pad: int, need: str) -> tuple[Array | None, Array | None]:
    need_dx, need_dW = need != "weights", need != "input"
    k, _, C, O = W.shape
    if (k, stride, pad) == (1, 1, 0):
        rows, flat = dz.reshape(-1, O), W.reshape(C, O)
        dW = matmul_dw(x.reshape(-1, C), rows).reshape(W.shape) if need_dW else None
        return matmul(rows, flat.T).reshape(x.shape) if need_dx else None, dW
    if winograd.fits(x.shape, W, stride, pad):
        return winograd.conv2d_backward(dz, x, W, need_dx, need_dW)
    flipped = stride == 1 and pad < k
    own = (
        not flipped or 4 * C < O
    )  # dW by an im2col of its own, by shapes alone: if `need` decided, dW's bits would change
    dx, dW = None, None
    if flipped and (need_dx or not own):
        dx, dW = _backward_flipped(dz, x, W, pad, need_dx, need_dW and not own)
    elif need_dx:
        faster = strided.fits(x.shape, W, stride, pad)
        dx = strided.conv2d_dx(dz, x, W) if faster else _col2im_of_product(dz, x, W, stride, pad)
    return dx, _weight_gradient(dz, x, W, stride, pad) if need_dW and own else dW


def _backward_flipped(
    dz: Array, x: Array, W: Array, pad: int, need_dx: bool, need_dW: bool
) -> tuple[Array | None, Array | None]:
    """dx = im2col(dz) W' and dWᵀ = xᵀ im2col(dz), with W' the kernel turned by half a turn, its channels swapped."""
    (N, H, B, C), (k, _, _, O) = x.shape, W.shape
    flipped = np.ascontiguousarray(W[::-1, ::-1].transpose(0, 1, 3, 2)).reshape(-1, C)
    dx = np.empty(x.shape, x.dtype) if need_dx else None

    def part(first: int, last: int) -> Array:
        total = np.zeros((C, k * k * O), x.dtype)
        for block in _blocks(first, last, H, B * k * k * O * x.itemsize):
            n0, n1, p0, p1 = block
            cols = _windows(dz, block, k, 1, k - 1 - pad, B)
            if dx is not None:
                _multiply(cols, flipped, dx[n0:n1, p0:p1])
            if need_dW:
                out = scratch("dW", total.shape, x.dtype)
                total += np.matmul(x[n0:n1, p0:p1].reshape(-1, C).T, cols, out=out)
        return total

    totals = parallel_map(part, partition_for(N, W))
    if not need_dW:
        return dx, None
    return dx, np.ascontiguousarray(ordered_sum(totals).reshape(C, k, k, O)[:, ::-1, ::-1].transpose(1, 2, 0, 3))


def _weight_gradient(dz: Array, x: Array, W: Array, stride: int, pad: int) -> Array:
    """dW = im2col(x)ᵀ dz, block by block."""
    (N, P, Q, O), (k, _, C, _) = dz.shape, W.shape

    def part(first: int, last: int) -> Array:
        total = np.zeros((k * k * C, O), x.dtype)
        for block in _blocks(first, last, P, Q * k * k * C * x.itemsize):
            n0, n1, p0, p1 = block
            cols = _windows(x, block, k, stride, pad, Q)
            out = scratch("dW", total.shape, x.dtype)
            total += np.matmul(cols.T, dz[n0:n1, p0:p1].reshape(-1, O), out=out)
        return total

    return ordered_sum(parallel_map(part, partition_for(N, W))).reshape(W.shape)


def _col2im_of_product(dz: Array, x: Array, W: Array, stride: int, pad: int) -> Array:
    """dx = col2im(dz Wᵀ), a few images at a time: k·k strided additions into a padded image."""
    (N, H, B, C), (_, P, Q, O), k = x.shape, dz.shape, W.shape[0]
    transposed = np.ascontiguousarray(W.reshape(-1, O).T)
    dx = np.empty(x.shape, x.dtype)

    def part(first: int, last: int) -> None:
        for n0, n1, _, _ in _blocks(first, last, 1, P * Q * k * k * C * x.itemsize):
            dcols = (dz[n0:n1].reshape(-1, O) @ transposed).reshape(n1 - n0, P, Q, k, k, C)
            image = np.empty((n1 - n0, H + 2 * pad, B + 2 * pad, C), x.dtype) if pad else dx[n0:n1]
            image[...] = 0
            for i in range(k):
                for j in range(k):
                    image[:, i : i + stride * P : stride, j : j + stride * Q : stride] += dcols[:, :, :, i, j]
            if pad:
                dx[n0:n1] = image[:, pad : pad + H, pad : pad + B]

    parallel_map(part, partition(N))
    return dx


def partition_for(N: int, W: Array) -> list[tuple[int, int]]:
    """The fixed partition of a batch for sums the size of W: fewer parts where W is large."""
    return partition(N, max(2, min(16, PARTIALS // W.nbytes)))


def _blocks(first: int, last: int, rows: int, row_bytes: int) -> Iterator[Block]:
    """Images first:last in blocks of at most BLOCK bytes: several whole images, or some rows of one."""
    images = BLOCK // max(1, rows * row_bytes)
    if images:
        for n in range(first, last, images):
            yield n, min(n + images, last), 0, rows
        return
    height = max(1, BLOCK // max(1, row_bytes))
    for n in range(first, last):
        for p in range(0, rows, height):
            yield n, n + 1, p, min(p + height, rows)


def _windows(x: Array, block: Block, k: int, stride: int, pad: int, Q: int) -> Array:
    """im2col of one block, (rows, k·k·C), in this thread's scratch."""
    n0, n1, p0, p1 = block
    H, B, C = x.shape[1:]
    n, P, size = n1 - n0, p1 - p0, x.itemsize
    top, height, width = stride * p0 - pad, stride * (P - 1) + k, stride * (Q - 1) + k
    if pad or not x.flags.c_contiguous:
        above = min(height, max(0, -top))
        below = min(height - above, max(0, top + height - H))
        across = max(0, min(width - pad, B))
        source = scratch(("padded", above, below, pad, across), (n, height, width, C), x.dtype)  # its border stays zero
        source[:, above : height - below, pad : pad + across] = x[n0:n1, top + above : top + height - below, :across]
        offset, strides = 0, source.strides
    else:
        source, offset, strides = x, n0 * x.strides[0] + top * x.strides[1], x.strides
    steps = strides[0], stride * strides[1], stride * strides[2], strides[1], size
    windows = np.ndarray((n, P, Q, k, k * C), x.dtype, source, offset, steps)
    rows = n * P * Q
    cols = scratch("cols", (max(BLOCK // size, rows * k * k * C),), x.dtype)[: rows * k * k * C]
    np.copyto(cols.reshape(windows.shape), windows)
    return cols.reshape(rows, k * k * C)


def _multiply(cols: Array, W: Array, out: Array) -> None:
    """out = cols W, in products small enough for OpenBLAS's unpacked path where that is possible."""
    rows, (inner, columns) = cols.shape[0], W.shape
    runs = unpacked(rows, inner, columns)
    np.matmul(cols.reshape(runs, -1, inner), W, out=out.reshape(runs, -1, columns))
