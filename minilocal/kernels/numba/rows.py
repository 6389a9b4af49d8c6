"""`multiply` for any number of rows and columns: the columns in strips of a tile's width, each contiguous."""

from __future__ import annotations

from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.register_tile import BROAD, TALL, multiply
from minilocal.kernels.numba.vector import BYTES

Steps = tuple[int, ...]


def strip_width(columns: int, itemsize: int) -> int:
    """The columns of a strip: those of a tile of two vectors, or of one."""
    lanes = BYTES // itemsize
    return 2 * lanes if BROAD and columns % (2 * lanes) == 0 else lanes


def in_strips(W: Array) -> Array:
    """(rows, O)  →  (strips, rows, width), contiguous."""
    width = strip_width(W.shape[1], W.itemsize)
    strips = aligned.empty((W.shape[1] // width, len(W), width), W.dtype)
    strips[...] = W.reshape(len(W), -1, width).transpose(1, 0, 2)
    return strips


@compiled
def rows(
    count: int, out: Array, o: int, o_r: int, add: bool, A: Array, a: int, a_rij: Steps, B: Array, b: int, b_ij: Steps,
    IJ: Steps, width: int,
) -> None:  # fmt: skip
    """`multiply` for so many rows of a strip."""
    r, a_r, vector = 0, a_rij[0], BYTES // out.itemsize
    while width > vector and count - r >= BROAD:
        multiply(BROAD, 2, out, o + r * o_r, o_r, add, A, a + r * a_r, a_rij, B, b, b_ij, IJ)
        r += BROAD
    while width > vector and r < count:
        multiply(1, 2, out, o + r * o_r, o_r, add, A, a + r * a_r, a_rij, B, b, b_ij, IJ)
        r += 1
    while count - r >= TALL:
        multiply(TALL, 1, out, o + r * o_r, o_r, add, A, a + r * a_r, a_rij, B, b, b_ij, IJ)
        r += TALL
    while count - r >= 4:
        multiply(4, 1, out, o + r * o_r, o_r, add, A, a + r * a_r, a_rij, B, b, b_ij, IJ)
        r += 4
    while r < count:
        multiply(1, 1, out, o + r * o_r, o_r, add, A, a + r * a_r, a_rij, B, b, b_ij, IJ)
        r += 1
