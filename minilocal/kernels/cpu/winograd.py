"""Winograd's convolution on NumPy: 3×3, stride 1, padding 1, with half the multiplications.

The idea. Down the rows of an image a 3×3 convolution is a filter of three taps g. A tile of m + 2 rows d gives m rows of
output, and that takes m + 2 products, not 3 m, if they are made at m + 2 points, as polynomials are multiplied:

    y = Aᵀ [ (G g) ⊙ (Bᵀ d) ]          dg = Gᵀ [ (A dy) ⊙ (Bᵀ d) ]                                        (1)

G and A evaluate three and m coefficients at the points, and Bᵀ is the transpose of reading m + 2 coefficients off their
values. m is 4 (6 products for 12), or 2 (4 for 6) where the height does not divide by 4. Across the columns nothing
changes: the windows of three pixels are runs of 3 C numbers, im2col as ever. So ⊙ is one matrix product per point,
and since a row of an image is a long run of numbers too, A, B and G are small matrix products themselves.

Backward: dx is the convolution of dz with the kernel turned by half a turn, and of *that* convolution x is the error
which gives dW: one function makes both, from one transform of dz. Lavin and Gray, "Fast Algorithms for Convolutional
Neural Networks"; here in one direction only, and with points at which float32 loses least.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from minilocal.array import Array
from minilocal.kernels.threads import in_order, partition, room, spread

BLOCK = 1 << 20  # bytes of windows at a time
ROWS = 512  # windows that are worth a product of their own
NARROW = 8  # pixels in a row up to which windows are copied, so that none is wasted
WIDE = 12_500  # channels in x channels out from which one product reads more weights than windows
POINTS = {2: (0, 1, -1), 4: (0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))}  # by m; and infinity


def fits(shape: tuple[int, ...], W: Array, stride: int, pad: int) -> bool:
    """Whether images of `shape` can go this way and are worth it: a question of shapes alone."""
    k, _, C, O = W.shape
    return (k, stride, pad) == (3, 1, 1) and shape[1] % 2 == 0 and shape[1] > 0 and min(C, O) >= 8


def conv(x: Array, W: Array) -> Array:
    """z = conv(x, W).        x (N, H, W, C), W (3, 3, C, O)  →  z (N, H, W, O)"""
    z = np.empty((*x.shape[:3], W.shape[3]), x.dtype)
    _convolve(x, W, z, None)
    return z


def conv_backward(dz: Array, x: Array, W: Array, want_dx: bool, want_dW: bool) -> tuple[Array | None, Array | None]:
    """(dx, dW), None where it is not wanted."""
    dx = np.empty(x.shape, x.dtype) if want_dx else None
    dW = _convolve(dz, np.ascontiguousarray(_turned(W)), dx, x if want_dW else None)
    return dx, None if dW is None else np.ascontiguousarray(_turned(dW))


def _turned(W: Array) -> Array:
    """The kernel turned by half a turn, its channels swapped."""
    return W[::-1, ::-1].transpose(0, 1, 3, 2)


def _convolve(x: Array, W: Array, y: Array | None, dy: Array | None) -> Array | None:
    """y ← conv(x, W) and dW from dy, each where it is given: (1), with every image cut into tiles of m rows."""
    (N, H, B, C), O = x.shape, W.shape[3]
    m = 4 if H % 4 == 0 else 2
    A, G, _ = matrices(m, x.dtype.char)
    T, h, taps = len(A), H // m, W.reshape(3, -1)
    phases = 3 if B > NARROW and C * O < WIDE else 1

    def by_images(first: int, last: int) -> Array | None:
        """A part of the batch at all points, in blocks that stay in the cache."""
        dU = None if dy is None else np.zeros((T, 3 * C, O), x.dtype)
        step = max(1, BLOCK // (T * h * B * C * x.itemsize * (1 if phases == 3 else 3)))
        for i in range(first, last, step):
            j = min(i + step, last)
            grid = Grid(j - i, h, B, phases)
            M = None if y is None else room("winograd M", (T, grid.places, O), x.dtype)
            _products(grid, slice(0, T), m, x[i:j], U, M, None if dy is None else dy[i:j], dU)
            if y is not None:
                np.matmul(A.T, grid.tiles(M), out=_tiles(y[i:j], m))
        return None if dU is None else G.T @ dU.reshape(T, -1)

    def by_points(first: int, last: int) -> None:
        """The whole batch at some points: their weights are made and read once."""
        points, rows = slice(first, last), h * B
        U, step = (G[points] @ taps).reshape(-1, 3 * C, O), max(1, ROWS // rows)
        for i in range(0, N, step):
            j = min(i + step, N)
            some = None if y is None else M[points, i * rows : j * rows]
            _products(Grid(j - i, h, B, 1), points, m, x[i:j], U, some, None if dy is None else dy[i:j], dU[points])

    if C * O < WIDE:
        U = (G @ taps).reshape(T, 3 * C, O)
        parts = spread(by_images, partition(N, max(1, min(16, N * h * B // 128))))
        return None if dy is None else in_order(parts).reshape(W.shape)
    grid = Grid(N, h, B, 1)
    M = np.empty((T, grid.places, O) if y is not None else 0, x.dtype)
    dU = np.zeros((T, 3 * C, O) if dy is not None else T, x.dtype)
    spread(by_points, [(t, t + 1) for t in range(T)])
    if y is not None:
        spread(lambda i, j: np.matmul(A.T, grid.tiles(M)[i:j], out=_tiles(y[i:j], m)), partition(N))
    return None if dy is None else (G.T @ dU.reshape(T, -1)).reshape(W.shape)


class Grid(NamedTuple):
    """The places of the windows of n images, h tiles high and B pixels wide, at one point.

    With one phase, windows are copied out and stand side by side. With three, they are read where they lie, every third
    starting where the one before it ended; then each row has one place more, whose window runs into the next row.
    """

    n: int
    h: int
    B: int
    phases: int

    @property
    def used(self) -> int:
        return self.n * self.h * (self.B + (self.phases == 3))

    @property
    def places(self) -> int:
        return -(-self.used // self.phases) * self.phases

    def tiles(self, a: Array) -> Array:
        """What stands in the windows' places.        (points, places, k)  →  (n, h, points, B·k), a view"""
        return self._rows(a)[..., : self.B * a.shape[2]].transpose(1, 2, 0, 3)

    def clear(self, a: Array) -> None:
        """0 in the places of no window."""
        self._rows(a)[..., self.B * a.shape[2] :] = 0
        a[:, self.used :] = 0

    def by_phase(self, a: Array) -> Array:
        """(points, places, k)  →  (points, phases, places/phases, k), a view"""
        return a.reshape(len(a), -1, self.phases, a.shape[2]).transpose(0, 2, 1, 3)

    def _rows(self, a: Array) -> Array:
        return a[:, : self.used].reshape(len(a), self.n, self.h, -1)

    def windows(self, V: Array) -> Array:
        """Windows of three pixels of V, whose rows begin with a 0.        (points, pixels, C)  →  by phase, of 3 C"""
        T, _, C = V.shape
        to_point, pixel, size = V.strides
        if self.phases == 3:
            shape = T, 3, self.places // 3, 3 * C
            return np.ndarray(shape, V.dtype, V, 0, (to_point, pixel, 3 * pixel, size))
        copied = room("winograd windows", (T, 1, self.places, 3 * C), V.dtype)
        row = (self.B + 1) * pixel
        shape = T, self.n, self.h, self.B, 3 * C
        np.copyto(copied.reshape(shape), np.ndarray(shape, V.dtype, V, 0, (to_point, self.h * row, row, pixel, size)))
        return copied


def _products(
    grid: Grid, points: slice, m: int, x: Array, U: Array, M: Array | None, dy: Array | None, dU: Array | None
) -> None:
    """M ← (Bᵀ x) ⊙ U and dU += (Bᵀ x)ᵀ ⊙ (A dy), at some points, for a few images.

    x (n, H, W, C), dy (n, H, W, O), U and dU (points, 3 C, O), M (points, places, O)
    """
    A, _, Bt = matrices(m, x.dtype.char)
    windows = grid.windows(_transformed(x, m, Bt[points]))
    if M is not None:
        np.matmul(windows, U[:, None], out=grid.by_phase(M))
    if dy is not None:
        E = room("winograd E", (len(U), grid.places, dy.shape[3]), x.dtype)
        grid.clear(E)
        np.matmul(A[points], _tiles(dy, m), out=grid.tiles(E))
        each = room("winograd dU", (len(U), grid.phases, *U.shape[1:]), x.dtype)
        np.matmul(windows.transpose(0, 1, 3, 2), grid.by_phase(E), out=each)
        for phase in range(grid.phases):
            dU += each[:, phase]


def _transformed(x: Array, m: int, Bt: Array) -> Array:
    """Bᵀ d of every tile d, a row after a row, each with a 0 before it, and zeros at the end.  (points, pixels, C)"""
    (n, H, B, C), T, h = x.shape, len(Bt), x.shape[1] // m
    pixels = n * h * (B + 1)
    V = room("winograd V", (T, pixels + 4, C), x.dtype)
    V[:, pixels:] = 0
    rows = V[:, :pixels].reshape(T, n, h, (B + 1) * C)
    rows[..., :C] = 0
    for tile in range(h):
        top = m * tile - 1
        first, last = max(0, top), min(H, top + m + 2)  # rows above and below the image are 0
        d = x[:, first:last].reshape(n, last - first, B * C)
        np.matmul(Bt[:, first - top : last - top], d, out=rows[:, :, tile, C:].transpose(1, 0, 2))
    return V


def _tiles(y: Array, m: int) -> Array:
    """(n, H, W, O)  →  (n, H/m, m, W·O)"""
    n, H, B, O = y.shape
    return y.reshape(n, H // m, m, B * O)


@cache
def matrices(m: int, dtype: str) -> tuple[Array, Array, Array]:
    """A (m + 2, m), G (m + 2, 3) and Bᵀ (m + 2, m + 2) of (1)."""

    def at_points(coefficients: int) -> Array:
        """Σ_j c_j pʲ at every point p; at infinity, the last coefficient."""
        return np.array([[p**j for j in range(coefficients)] for p in POINTS[m]] + [[0] * (coefficients - 1) + [1]])

    A, G, values = at_points(m), at_points(3), at_points(m + 2)
    return A.astype(dtype), G.astype(dtype), np.linalg.inv(values).T.astype(dtype)
