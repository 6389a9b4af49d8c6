"""conv2d, conv2d_backward (ops/conv.py) compiled: products of windows where they lie, without im2col.

The idea. The k windows of an image row are one run of k·C numbers, and the windows of neighbouring pixels begin s·C
numbers apart. So im2col(x) is a view of a padded image, and `multiply` reads it as it lies:

    z[p, q, o] = Σ_i Σ_j  x[s p + i, s q C + j]  W[i, j, o]                    j < k C                         (1)
    dW[i, r, o] = Σ_n Σ_p Σ_q  x[n, s p + i, s q C + r]  dz[n, p, q, o]        r < k C                         (2)

dx. Row u of x is met by row i of W in window p where u = s p + i - pad. With u = s U + a - pad, 0 ≤ a < s, these are
the rows i = a + s t in the windows p = U - t. So every s-th row and column of dx is (1) with stride 1: on dz, and on
every s-th row and column of W, turned by half a turn, its channels exchanged. With stride 1 that is all of dx.

A few images at a time lie in frames of zeros, which stay in the cache. Columns o are cut into strips as wide as a tile
of registers. The sums of one image in (2) are added to those before it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.cpu import conv as in_numpy
from minilocal.kernels.numba import winograd
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.rows import in_strips, rows, strip_width
from minilocal.kernels.numba.vector import BYTES
from minilocal.kernels.threads import ordered_sum, parallel_map, partition
from minilocal.kernels.workspace import scratch
from minilocal.ops.conv import conv_out_size

GROUP = 512 << 10  # bytes of frames at a time
LARGEST = 1 << 15  # channels in x channels out above which BLAS, which reads the weights once, is the faster one
NARROWEST = 8  # pixels across below which tiles are short of rows


def conv2d(x: Array, W: Array, stride: int = 1, pad: int = 0) -> Array:
    """z of (1)."""
    if not fits(W.shape[3], x, W, conv_out_size(x.shape[2], W.shape[0], stride, pad)):
        return in_numpy.conv2d(x, W, stride, pad)
    z, part = parts_of(x, W, stride, pad)
    parallel_map(part, partition(len(x)))
    return z


def parts_of(x: Array, W: Array, stride: int, pad: int) -> tuple[Array, Callable[[int, int], None]]:
    """(z of (1), not made yet, what makes images first:last of it)"""
    check(x, W, stride, pad)
    (N, H, B, _), (k, _, _, O) = x.shape, W.shape
    P, Q = conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad)
    x, z = np.ascontiguousarray(x), aligned.empty((N, P, Q, O), x.dtype)
    if winograd.fits(x.shape, W, stride, pad):
        return z, winograd.conv2d(x, W, z)
    strips, places = in_strips(W.reshape(-1, O)), np.array([[0, P, 0, k, 0, Q, 0, k, 0]])

    def part(first: int, last: int) -> None:
        some = x[first:last]
        correlate(some, *frames(some, pad, H + 2 * pad, B + 2 * pad), strips, places, stride, z[first:last], 1, False)

    return z, part


def conv2d_backward(
    dz: Array, x: Array, W: Array, stride: int = 1, pad: int = 0, need: str = "both", add: Array | None = None
) -> tuple[Array | None, Array | None]:
    """(dx, dW of (2)). No bit of either depends on `need`."""
    (N, H, B, C), (k, _, _, O) = x.shape, W.shape
    check(x, W, stride, pad, dz, add)
    across = dz.shape[2] if x.dtype == dz.dtype else 0
    own_dx, own_dW = need != "weights" and fits(C, dz, W, across), need != "input" and fits(O, dz, W, across)
    x, dz = np.ascontiguousarray(x), np.ascontiguousarray(dz)
    if (own_dx or own_dW) and winograd.fits(x.shape, W, stride, pad):
        return winograd.conv2d_backward(dz, x, W, need, add, in_numpy.partition_for(N, W))
    dx = None
    if own_dx:
        dx = aligned.zeros(x.shape, x.dtype) if k < stride and add is None else aligned.empty(x.shape, x.dtype)
        turned = Turned(W, stride, pad, H, B)
        high, wide = max(turned.high, turned.top + dz.shape[1]), max(turned.wide, turned.top + dz.shape[2])
    width = strip_width(O, x.itemsize)

    def part(first: int, last: int) -> Array | None:
        e, some = dz[first:last], x[first:last]
        if dx is not None:
            if add is not None:
                dx[first:last] = add[first:last]
            own = frames(e, turned.top, high, wide)
            correlate(e, *own, turned.strips, turned.places, 1, dx[first:last], stride, add is not None)
        if not own_dW:
            return None
        dW = aligned.zeros((O // width, k * k * C, width), x.dtype)
        weight_gradient(some, *frames(some, pad, H + 2 * pad, B + 2 * pad), e, dW, k, stride)
        return dW

    sums = parallel_map(part, in_numpy.partition_for(N, W)) if own_dx or own_dW else []
    if need != "weights" and not own_dx:
        dx, _ = in_numpy.conv2d_backward(dz, x, W, stride, pad, "input", add)
    if need == "input":
        return dx, None
    if own_dW:
        return dx, ordered_sum(sums).transpose(1, 0, 2).reshape(W.shape)
    return dx, in_numpy.conv2d_backward(dz, x, W, stride, pad, "weights")[1]


def fits(columns: int, x: Array, W: Array, across: int) -> bool:
    """Whether so many columns are whole vectors, and this form is the faster one for maps so many pixels across."""
    whole, channels = columns % (BYTES // x.itemsize) == 0, W.shape[2] * W.shape[3]
    one_type = x.dtype == W.dtype and x.dtype.isnative
    return one_type and whole and channels <= LARGEST and across >= NARROWEST and x.size * W.size > 0


def check(x: Array, W: Array, stride: int, pad: int, dz: Array | None = None, add: Array | None = None) -> None:
    """Raises: ValueError where shapes do not fit. Compiled code would read what lies beyond an array."""
    (N, H, B, C), (k, across, of_W, O) = x.shape, W.shape
    z = N, conv_out_size(H, k, stride, pad), conv_out_size(B, k, stride, pad), O
    if (C, k) != (of_W, across) or pad < 0 or stride < 1 or min(z[1:3]) < 1:
        raise ValueError(f"images {x.shape} met W {W.shape}, stride {stride}, padding {pad}.")
    if dz is not None and dz.shape != z:
        raise ValueError(f"an error {dz.shape} met images {x.shape} and W {W.shape}: their convolution is {z}.")
    if add is not None and add.shape != x.shape:
        raise ValueError(f"an error {add.shape} is added to one of {x.shape}.")


def frames(x: Array, top: int, high: int, wide: int) -> tuple[Array, int]:
    """(frames (m, high, wide, C) for images `top` rows and columns away from the corner, top).

    Zeros around the images. Where these fill a frame they are their own, and top is -1.
    """
    N, H, B, C = x.shape
    if (top, high, wide) == (0, H, B):
        return x, -1
    m = max(1, min(N, GROUP // (high * wide * C * x.itemsize)))
    return scratch(("frames", top, H, B), (m, high, wide, C), x.dtype), top


class Turned:
    """W for dx: the taps that meet every s-th row and column of x, each set of them turned, as a matrix in strips.

    places    of each set: U's first row in x, its rows, their first row in a frame, taps; the same of columns; where
              its strips begin
    top, high, wide    of a frame: the rows and columns before dz, and those that windows reach
    """

    def __init__(self, W: Array, stride: int, pad: int, H: int, B: int) -> None:
        k, _, C, _ = W.shape
        self.top = (k - 1) // stride  # rows of zeros before dz
        strips, places, begin = [], [], 0
        for a in range(min(k, stride)):
            for b in range(min(k, stride)):
                taps = W[a::stride, b::stride][::-1, ::-1].transpose(0, 1, 3, 2)
                down, across = self._place(H, a, len(taps), stride, pad), self._place(B, b, taps.shape[1], stride, pad)
                places.append([*down, *across, begin])
                strips.append(in_strips(taps.reshape(-1, C)).reshape(-1))
                begin += taps.size
        self.places, width = np.array(places), strip_width(C, W.itemsize)
        self.strips = aligned.empty((1, begin // width, width), W.dtype)
        np.concatenate(strips, out=self.strips.reshape(-1))
        _, rows, first, taps, *_ = self.places.T
        self.high = int((first + rows - 1 + taps).max())
        _, columns, first, taps = self.places.T[4:8]
        self.wide = int((first + columns - 1 + taps).max())

    def _place(self, size: int, a: int, taps: int, stride: int, pad: int) -> tuple[int, int, int, int]:
        """The place of U along one side of x."""
        first = (a - pad) % stride
        U = (first + pad - a) // stride
        return first, -(-(size - first) // stride), U + self.top + 1 - taps, taps


# ------------------------------------------------------------------ compiled


@compiled
def correlate(
    x: Array, framed: Array, top: int, strips: Array, places: Array, step: int, out: Array, out_step: int, add: bool
) -> None:
    """out[n, u + out_step U, v + out_step V] (+)= Σ_i Σ_j x[n, f + step U + i, (g + step V) C + j] W[i, j].

    That for each place.
    x (N, H, W, C), with frames as `frames` makes them; places and strips as in `Turned`; out (N, P, Q, O)
    """
    (N, P, Q, O), C, width = out.shape, x.shape[3], strips.shape[2]
    m, high, wide = framed.shape[:3]
    A, W, z = framed.reshape(-1), strips.reshape(-1), out.reshape(-1)
    for first in range(0, N, m):
        last = min(first + m, N)
        base = in_frames(x, first, last, framed, top)
        for u, U, f, I, v, V, g, J, begin in places:
            for strip in range(O // width):
                w = begin + strip * I * J * C * width
                for n in range(first, last):
                    for p in range(U):
                        o = ((n * P + u + out_step * p) * Q + v) * O + strip * width
                        a = (((n - base) * high + f + step * p) * wide + g) * C
                        rows(
                            V, z, o, out_step * O, add, A, a, (step * C, wide * C, 1),
                            W, w, (J * C * width, width), (I, J * C), width,
                        )  # fmt: skip


@compiled
def weight_gradient(x: Array, framed: Array, top: int, dz: Array, dW: Array, k: int, s: int) -> None:
    """dW += (2) of some images.        dz (N, P, Q, O), dW (strips, k k C, width)"""
    (N, P, Q, O), C, (strips, _, width) = dz.shape, x.shape[3], dW.shape
    m, high, wide = framed.shape[:3]
    A, e, sums = framed.reshape(-1), dz.reshape(-1), dW.reshape(-1)
    for first in range(0, N, m):
        last = min(first + m, N)
        base = in_frames(x, first, last, framed, top)
        for strip in range(strips):
            for n in range(first, last):
                for i in range(k):
                    o, a = (strip * k + i) * k * C * width, ((n - base) * high + i) * wide * C
                    rows(
                        k * C, sums, o, width, True, A, a, (1, s * wide * C, s * C),
                        e, n * P * Q * O + strip * width, (Q * O, O), (P, Q), width,
                    )  # fmt: skip


@compiled
def in_frames(x: Array, first: int, last: int, framed: Array, top: int) -> int:
    """Images first:last into frames 0, 1, ..., or nothing where they are their own. The image in frame 0."""
    if top < 0:
        return 0
    for n in range(first, last):
        framed[n - first, top : top + x.shape[1], top : top + x.shape[2]] = x[n]
    return first
