"""conv2d, conv2d_backward (ops/conv.py) compiled, by Winograd's form: 3×3, stride 1, padding 1, half the products.

The form is that of `kernels/cpu/winograd.py`, with tiles of m = 4 rows and T = 6 points, 0, ±a, ±b and ∞:

    y = Aᵀ [ (G g) ⊙ (Bᵀ d) ]          dg = Gᵀ [ (A dy) ⊙ (Bᵀ d) ]                                             (1)

⊙ is a product of windows at each point, `multiply`. A window of three pixels is a run of 3 C numbers, read where it
lies. Some rows of tiles at a time stay in the cache from their transform to their result.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.cpu.winograd import POINTS, transforms
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.numba.rows import in_strips, rows, strip_width
from minilocal.kernels.numba.vector import BYTES, broadcast, load, store
from minilocal.kernels.threads import ordered_sum, parallel_map
from minilocal.kernels.workspace import scratch, workspace

GROUP = 128 << 10  # bytes of V at a time
_, a, _, b, _ = POINTS[4]
a2, b2, a3, b3 = a * a, b * b, a**3, b**3


def fits(shape: tuple[int, ...], W: Array, stride: int, pad: int) -> bool:
    """Whether this form fits images of `shape`: rows in fours, channels in whole vectors."""
    (N, H, B, _), (k, _, C, O), lanes = shape, W.shape, BYTES // W.itemsize
    whole = H % 4 == 0 and C % lanes == 0 and O % lanes == 0
    return (k, stride, pad) == (3, 1, 1) and whole and N * H * B * C * O > 0


def conv2d(x: Array, W: Array, z: Array) -> Callable[[int, int], None]:
    """What makes images first:last of z = conv(x, W)."""
    _, _, C, O = W.shape
    U = at_points(W.reshape(3, -1), 3 * C)

    def part(first: int, last: int) -> None:
        some = x[first:last]
        convolve(some, U, *space(some, O), z[first:last], False)

    return part


def conv2d_backward(
    dz: Array, x: Array, W: Array, need: str, add: Array | None, parts: list[tuple[int, int]]
) -> tuple[Array | None, Array | None]:
    """(dx, dW): dx is the convolution of dz with the kernel turned by half a turn, and dW comes of that one's dg."""
    _, _, C, O = W.shape
    need_dx, need_dW, width = need != "weights", need != "input", strip_width(C, W.itemsize)
    dx = aligned.empty(x.shape, x.dtype) if need_dx else None
    U = at_points(np.ascontiguousarray(W[::-1, ::-1].transpose(0, 1, 3, 2)).reshape(3, -1), 3 * O) if need_dx else None

    def part(first: int, last: int) -> Array | None:
        e = dz[first:last]
        V, M = space(e, C)
        if dx is not None and U is not None:
            if add is not None:
                dx[first:last] = add[first:last]
            convolve(e, U, V, M, dx[first:last], add is not None)
        if not need_dW:
            return None
        dU = aligned.zeros((6, C // width, 3 * O, width), x.dtype)
        weight_gradient(e, V, M, x[first:last], dU)
        return dU

    sums = parallel_map(part, parts)
    if not need_dW:
        return dx, None
    dg = transforms(x)[3].T @ ordered_sum(sums).reshape(6, -1)
    dg = dg.reshape(3, C // width, 3, O, width).transpose(0, 2, 1, 4, 3).reshape(3, 3, C, O)  # i, j, c, o
    return dx, np.ascontiguousarray(dg[::-1, ::-1])


def at_points(g: Array, inner: int) -> Array:
    """G g at the six points, in strips.        g (3, inner·O)  →  (strips, 6 inner, width)"""
    G = transforms(np.empty((1, 4), g.dtype))[3]
    return in_strips((G @ g).reshape(6 * inner, -1))


def space(x: Array, O: int) -> tuple[Array, Array]:
    """V (6, R, (W + 2) C), with zeros left and right of what is written, and M (6, R, W O), for R rows of tiles."""
    N, H, B, C = x.shape
    R = max(1, min(N * H // 4, GROUP // (6 * (B + 2) * C * x.itemsize)))
    V = scratch(("winograd V", C), (6, R, (B + 2) * C), x.dtype)
    return V, workspace("winograd M", (6, R, B * O), x.dtype)


# ------------------------------------------------------------------ compiled


@compiled
def convolve(x: Array, U: Array, V: Array, M: Array, y: Array, add: bool) -> None:
    """y = conv(x, g), or y + it: rows of tiles go to the points, are multiplied there, and come back."""
    (N, H, B, C), (strips, inner, width), O, R = x.shape, U.shape, y.shape[3], V.shape[1]
    inner //= 6
    A, W, out = V.reshape(-1), U.reshape(-1), M.reshape(-1)
    for first in range(0, N * H // 4, R):
        count = min(R, N * H // 4 - first)
        windows_to_points(x, first, count, V)
        for t in range(6):
            for v in range(strips):
                w = (v * 6 + t) * inner * width
                for r in range(count):
                    o, at = (t * R + r) * B * O + v * width, (t * R + r) * (B + 2) * C
                    rows(B, out, o, O, False, A, at, (C, 0, 1), W, w, (0, width), (1, inner), width)
        from_points(M, first, count, y, add)


@compiled
def weight_gradient(x: Array, V: Array, E: Array, dy: Array, dU: Array) -> None:
    """dU += (A dy) ⊙ (Bᵀ x).        dU (6, strips, 3 C, width)"""
    (N, H, B, C), (_, strips, inner, width), O, R = x.shape, dU.shape, dy.shape[3], V.shape[1]
    A, e, out = V.reshape(-1), E.reshape(-1), dU.reshape(-1)
    for first in range(0, N * H // 4, R):
        count = min(R, N * H // 4 - first)
        windows_to_points(x, first, count, V)
        errors_to_points(dy, first, count, E)
        for t in range(6):
            for v in range(strips):
                o, at, bt = (t * strips + v) * inner * width, t * R * (B + 2) * C, t * R * B * O + v * width
                rows(
                    inner, out, o, width, True, A, at, (1, (B + 2) * C, C), e, bt, (B * O, O), (count, B), width
                )  # fmt: skip


@compiled
def windows_to_points(x: Array, first: int, count: int, V: Array) -> None:
    """V = Bᵀ d, of the tiles in `count` rows of tiles. A tile has a row above and one below."""
    (_, H, B, C), (_, R, row) = x.shape, V.shape
    image, out, h, line, lanes = x.reshape(-1), V.reshape(-1), H // 4, B * C, BYTES // x.itemsize
    ka, kb = 1 / (2 * a2 * (a2 - b2)), 1 / (2 * b2 * (b2 - a2))
    for r in range(count):
        at, above, below = (first + r) * 4 * line, (first + r) % h > 0, (first + r) % h < h - 1
        zero, o, step = broadcast(load(image, at), 0.0), r * row + C, R * row
        for j in range(at, at + line, lanes):
            d0 = load(image, j - line) if above else zero
            d1, d2, d3, d4 = load(image, j), load(image, j + line), load(image, j + 2 * line), load(image, j + 3 * line)
            d5 = load(image, j + 4 * line) if below else zero
            even_a, odd_a = ka * (d4 - b2 * d2), (ka * a) * (d3 - b2 * d1)
            even_b, odd_b = kb * (d4 - a2 * d2), (kb * b) * (d3 - a2 * d1)
            v = o + j - at
            store(out, v, d0 - (a2 + b2) * d2 + d4)
            store(out, v + step, even_a + odd_a)
            store(out, v + 2 * step, even_a - odd_a)
            store(out, v + 3 * step, even_b + odd_b)
            store(out, v + 4 * step, even_b - odd_b)
            store(out, v + 5 * step, d1 - (a2 + b2) * d3 + d5)


@compiled
def errors_to_points(dy: Array, first: int, count: int, E: Array) -> None:
    """E = A dy."""
    (_, _, B, O), R = dy.shape, E.shape[1]
    image, out, line, lanes = dy.reshape(-1), E.reshape(-1), B * O, BYTES // dy.itemsize
    for r in range(count):
        at, o, step = (first + r) * 4 * line, r * line, R * line
        for j in range(0, line, lanes):
            i, e = at + j, o + j
            y0, y1, y2, y3 = load(image, i), load(image, i + line), load(image, i + 2 * line), load(image, i + 3 * line)
            even_a, odd_a = y0 + a2 * y2, a * y1 + a3 * y3
            even_b, odd_b = y0 + b2 * y2, b * y1 + b3 * y3
            store(out, e, y0)
            store(out, e + step, even_a + odd_a)
            store(out, e + 2 * step, even_a - odd_a)
            store(out, e + 3 * step, even_b + odd_b)
            store(out, e + 4 * step, even_b - odd_b)
            store(out, e + 5 * step, y3)


@compiled
def from_points(M: Array, first: int, count: int, y: Array, add: bool) -> None:
    """y = Aᵀ M, or y + it."""
    (_, _, B, O), R = y.shape, M.shape[1]
    out, m, line, lanes = y.reshape(-1), M.reshape(-1), B * O, BYTES // y.itemsize
    for r in range(count):
        at, step = (first + r) * 4 * line, R * line
        for j in range(0, line, lanes):
            i, o = r * line + j, at + j
            m0, m1, m2 = load(m, i), load(m, i + step), load(m, i + 2 * step)
            m3, m4, m5 = load(m, i + 3 * step), load(m, i + 4 * step), load(m, i + 5 * step)
            sum_a, difference_a, sum_b, difference_b = m1 + m2, m1 - m2, m3 + m4, m3 - m4
            y0, y1 = m0 + sum_a + sum_b, a * difference_a + b * difference_b
            y2, y3 = a2 * sum_a + b2 * sum_b, a3 * difference_a + b3 * difference_b + m5
            if add:
                y0, y1 = load(out, o) + y0, load(out, o + line) + y1
                y2, y3 = load(out, o + 2 * line) + y2, load(out, o + 3 * line) + y3
            store(out, o, y0)
            store(out, o + line, y1)
            store(out, o + 2 * line, y2)
            store(out, o + 3 * line, y3)
