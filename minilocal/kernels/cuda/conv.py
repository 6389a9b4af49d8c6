"""conv2d, conv2d_backward (ops/conv.py) in CUDA: the choice between implicit GEMM and im2col. CuPy has no convolution.

Counted for a GPU that multiplies at 50 TFLOP/s and moves 3 TB/s through its second-level cache. A number of im2col
takes part in 2·O operations, 0.04·O ps; written and read it costs 2.7 ps. So im2col and a product at the full 50 are
slower than implicit GEMM at 40 to 45, unless there are several hundred channels out. And CuPy cannot record the
library's products in a graph, while a step's bits must not depend on whether it is recorded. So whatever has a tile
goes through `implicit_gemm` and `weight_grad`. Only TF32 changes the count: its products are several times as fast,
and worth im2col from about 80 channels out. All three are true float32 and float64 otherwise.

A 1×1 window is a product of rows, and made as one.
"""

from __future__ import annotations

from minilocal.array import Array, namespace
from minilocal.device import tf32
from minilocal.kernels.cuda import im2col, implicit_gemm, weight_grad

WIDE = 64  # channels out above which im2col is worth its bytes, if products are TF32


def conv2d(x: Array, W: Array, stride: int = 1, pad: int = 0) -> Array:
    """z, by implicit GEMM or im2col."""
    x, W = packed(x, W)
    if is_product(W, stride, pad):
        return _conv(rows(x), W, 1, 0).reshape(*x.shape[:3], W.shape[3])
    return _conv(x, W, stride, pad)


def conv2d_backward(
    dz: Array, x: Array, W: Array, stride: int = 1, pad: int = 0, need: str = "both", add: Array | None = None
) -> tuple[Array | None, Array | None]:
    """(dx, dW), each by implicit GEMM or im2col. Implicit GEMM reads `add` where it writes dx."""
    dz, x, W = packed(dz, x, W)
    add = None if add is None else packed(dz, add)[1]
    shape, k, dx, dW = x.shape, W.shape[0], None, None
    if is_product(W, stride, pad):
        dz, x = rows(dz), rows(x)
    if need != "weights":
        dx = None if by_im2col(W) else implicit_gemm.input_error(dz, W, x.shape, stride, pad, add)
        dx = im2col.input_error(dz, W, x.shape, stride, pad, add) if dx is None else dx
        dx = dx.reshape(shape)
    if need != "input":
        dW = None if by_im2col(W) else weight_grad.weight_gradient(dz, x, k, stride, pad)
        dW = im2col.weight_gradient(dz, x, k, stride, pad) if dW is None else dW
    return dx, dW


def _conv(x: Array, W: Array, stride: int, pad: int) -> Array:
    z = None if by_im2col(W) else implicit_gemm.conv2d(x, W, stride, pad)
    return im2col.conv2d(x, W, stride, pad) if z is None else z


def by_im2col(W: Array) -> bool:
    return tf32() and W.shape[3] > WIDE and W.dtype.char == "f"


def is_product(W: Array, stride: int, pad: int) -> bool:
    return (W.shape[0], stride, pad) == (1, 1, 0)


def rows(x: Array) -> Array:
    """x with every pixel as an image: (N, H, W, C) → (N·H·W, 1, 1, C)."""
    return x.reshape(-1, 1, 1, x.shape[3])


def packed(*arrays: Array) -> tuple[Array, ...]:
    """The arrays C-contiguous and of one type, the first one's; themselves where they are so already."""
    xp, dtype = namespace(*arrays), arrays[0].dtype
    return tuple(xp.ascontiguousarray(a, dtype) for a in arrays)
