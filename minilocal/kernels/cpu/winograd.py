"""conv2d, conv2d_backward (ops/conv.py) on NumPy by Winograd's form: 3×3, stride 1, padding 1, half the products.

The idea. Down the rows of an image a 3×3 convolution is a filter of three taps g. A tile of m + 2 rows d gives m rows
of output, and that takes m + 2 products, not 3 m, if they are made at m + 2 points, as polynomials are multiplied:

    y = Aᵀ [ (G g) ⊙ (Bᵀ d) ]          dg = Gᵀ [ (A dy) ⊙ (Bᵀ d) ]                                        (1)

G and A evaluate three and m coefficients at the points, and Bᵀ is the transpose of reading m + 2 coefficients off their
values. m is 4 (6 products for 12), or 2 (4 for 6) where the height does not divide by 4. Across the columns nothing
changes: the windows of three pixels are runs of 3 C numbers, as in im2col. So ⊙ is one matrix product per point,
and since a row of an image is a long run of numbers too, A, B and G are small matrix products themselves.

Round-off is relative to the largest number of a tile: all its rows share it, and a NaN (docs/design.md has figures).

Backward: dx is the convolution of dz with the flipped kernel. In that convolution's own weight gradient, x takes the
place of the error, and the result is dW. So one function makes both, from one transform of dz.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"; here in one direction only, and with points at
which float32 loses least.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.cpu.matmul import unpacked
from minilocal.kernels.threads import ordered_sum, parallel_map, partition
from minilocal.kernels.workspace import workspace

BLOCK = 1 << 20  # bytes of transformed images, or of copied windows, at a time
ROWS = 512  # windows that are worth a product of their own
NARROW = 8  # pixels in a row up to which windows are copied, so that none is wasted
WIDE = 12_500  # channels in x channels out from which a block's product reads more weights than windows
FEWEST = 8  # channels in or out below which im2col is as quick
LARGEST = 1 << 20  # numbers of one image up to which its transform makes a block
POINTS = {2: (0, 1, -1), 4: (0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))}  # by m; and infinity

Weights = Callable[[Array], Array]  # some rows of G  →  G g at these points (points, 3 C, O)


def fits(shape: tuple[int, ...], W: Array, stride: int, pad: int) -> bool:
    """Whether this form fits images of `shape` and is the faster one: a function of shapes alone."""
    (_, H, B, _), (k, _, C, O) = shape, W.shape
    even = (k, stride, pad) == (3, 1, 1) and H % 2 == 0 and H > 0
    return even and min(C, O) >= FEWEST and H * B * max(C, O) <= LARGEST


def conv2d(x: Array, W: Array) -> Array:
    """z = conv(x, W).        x (N, H, W, C), W (3, 3, C, O)  →  z (N, H, W, O)"""
    _, _, C, O = W.shape
    z, g = np.empty((*x.shape[:3], O), x.dtype), W.reshape(3, -1)
    _convolve(x, lambda G: (G @ g).reshape(-1, 3 * C, O), z, None)
    return z


def conv2d_backward(dz: Array, x: Array, W: Array, need_dx: bool, need_dW: bool) -> tuple[Array | None, Array | None]:
    """(dx, dW), each None where it is not asked for."""
    _, _, C, O = W.shape
    dx, dy = np.empty(x.shape, x.dtype) if need_dx else None, x if need_dW else None
    g = np.ascontiguousarray(W[::-1, ::-1].transpose(0, 2, 1, 3)).reshape(3, -1)  # (i, c, j, o): copied in runs of o
    dg = _convolve(dz, lambda G: (G @ g).reshape(-1, C, 3 * O).transpose(0, 2, 1), dx, dy)
    if dg is None:
        return dx, None
    return dx, np.ascontiguousarray(dg.reshape(3, C, 3, O)[::-1, :, ::-1].transpose(0, 2, 1, 3))


def _convolve(x: Array, weights: Weights, y: Array | None, dy: Array | None) -> Array | None:
    """y ← conv(x, g), and dg (3, O·3 C) from dy, each where it is given: (1), all images cut into tiles of m rows."""
    z = y if dy is None else dy
    assert z is not None
    O = z.shape[3]
    return (_by_points if x.shape[3] * O >= WIDE else _by_images)(np.ascontiguousarray(x), O, weights, y, dy)


def _by_images(x: Array, O: int, weights: Weights, y: Array | None, dy: Array | None) -> Array | None:
    """Parts of the batch, at all points, in blocks that stay in the cache."""
    (N, H, B, C), (m, T, A, G, _) = x.shape, transforms(x)
    h, phases = H // m, 3 if B > NARROW else 1
    U = None if y is None else np.ascontiguousarray(weights(G))  # BLAS takes half as long again for a transposed one
    step = max(1, BLOCK // (T * h * B * C * x.itemsize * (1 if phases == 3 else 3)))

    def part(first: int, last: int) -> Array | None:
        dU = None if dy is None else np.zeros((T, O, 3 * C), x.dtype)
        for i in range(first, last, step):
            j = min(i + step, last)
            grid = Grid(j - i, h, B, phases, 1 if phases == 3 else unpacked((j - i) * h * B, 3 * C, O))
            M = None if y is None else workspace("winograd M", (T, grid.places, O), x.dtype)
            _products(grid, slice(0, T), x[i:j], U, M, None if dy is None else dy[i:j], dU)
            if y is not None and M is not None:
                np.matmul(A.T, grid.tiles(M), out=_tiles(y[i:j], h))
        return None if dU is None else G.T @ dU.reshape(T, -1)

    sums = parallel_map(part, partition(N, max(1, min(16, N * h * B // 128))))
    return None if dy is None else ordered_sum(sums)


def _by_points(x: Array, O: int, weights: Weights, y: Array | None, dy: Array | None) -> Array | None:
    """The whole batch, point by point, so that the weights of a point are made and read once."""
    (N, H, B, C), (m, T, A, G, _) = x.shape, transforms(x)
    h, grid = H // m, Grid(N, H // m, B, 1)
    M = None if y is None else np.empty((T, grid.places, O), x.dtype)
    dU = None if dy is None else np.zeros((T, O, 3 * C), x.dtype)
    step = max(1, ROWS // (h * B))

    def part(first: int, last: int) -> None:
        points = slice(first, last)
        U = None if y is None else weights(G[points])
        for i in range(0, N, step):
            j = min(i + step, N)
            block = None if M is None else M[points, i * h * B : j * h * B]
            sums = None if dU is None else dU[points]
            _products(Grid(j - i, h, B, 1), points, x[i:j], U, block, None if dy is None else dy[i:j], sums)

    parallel_map(part, [(t, t + 1) for t in range(T)])
    if y is not None and M is not None:
        tiles = grid.tiles(M)
        parallel_map(lambda i, j: np.matmul(A.T, tiles[i:j], out=_tiles(y[i:j], h)), partition(N))
    return None if dU is None else G.T @ dU.reshape(T, -1)


class Grid(NamedTuple):
    """The places of the windows of n images, h tiles high and B pixels wide, at one point.

    With one phase, windows are copied out and stand side by side. With three, they are read where they lie, every third
    starting where the one before it ended; then each row has one place more, whose window runs into the next row.
    """

    n: int
    h: int
    B: int
    phases: int
    runs: int = 1  # of windows side by side: a product each

    @property
    def used(self) -> int:
        return self.n * self.h * (self.B + (self.phases == 3))

    @property
    def places(self) -> int:
        return -(-self.used // self.phases) * self.phases

    def windows(self, V: Array) -> Array:
        """Windows of three pixels, a 0 before each row. V (points, pixels, C)  →  (points, groups, windows, 3 C)"""
        (T, _, C), (point, pixel, number) = V.shape, V.strides
        if self.phases == 3:
            steps = point, pixel, 3 * pixel, number
            return np.ndarray((T, 3, self.places // 3, 3 * C), V.dtype, V, 0, steps)
        shape, row = (T, self.n, self.h, self.B, 3 * C), (self.B + 1) * pixel
        copied = workspace("winograd windows", shape, V.dtype)
        np.copyto(copied, np.ndarray(shape, V.dtype, V, 0, (point, self.h * row, row, pixel, number)))
        return self.groups(copied.reshape(T, self.places, 3 * C))

    def groups(self, a: Array) -> Array:
        """Places by phase or by run. (points, places, k)  →  (points, groups, places/groups, k), a view"""
        if self.phases == 3:
            return a.reshape(len(a), -1, 3, a.shape[2]).transpose(0, 2, 1, 3)
        return a.reshape(len(a), self.runs, -1, a.shape[2])

    def tiles(self, a: Array) -> Array:
        """The results at the windows' places.        (points, places, k)  →  (n, h, points, B·k), a view"""
        return self._rows(a)[..., : self.B * a.shape[2]].transpose(1, 2, 0, 3)

    def clear(self, a: Array) -> None:
        """0 in the places that belong to no window."""
        self._rows(a)[..., self.B * a.shape[2] :] = 0
        a[:, self.used :] = 0

    def _rows(self, a: Array) -> Array:
        return a[:, : self.used].reshape(len(a), self.n, self.h, -1)


def _products(
    grid: Grid, points: slice, x: Array, U: Array | None, M: Array | None, dy: Array | None, dU: Array | None
) -> None:
    """M ← (Bᵀ x) ⊙ U and dU += (A dy)ᵀ ⊙ (Bᵀ x), at some points, for a few images.

    x (n, H, W, C), U (points, 3 C, O), M (points, places, O); dy (n, H, W, O), dU (points, O, 3 C)
    """
    _, _, A, _, Bt = transforms(x)
    windows = grid.windows(_transformed(x, Bt[points]))
    if U is not None and M is not None:
        np.matmul(windows, U[:, None], out=grid.groups(M))
    if dy is not None and dU is not None:
        E = workspace("winograd E", (len(windows), grid.places, dy.shape[3]), x.dtype)
        grid.clear(E)
        np.matmul(A[points], _tiles(dy, grid.h), out=grid.tiles(E))
        each = workspace("winograd dU", (*windows.shape[:2], *dU.shape[1:]), x.dtype)
        np.matmul(grid.groups(E).transpose(0, 1, 3, 2), windows, out=each)
        for group in range(each.shape[1]):
            dU += each[:, group]


def _transformed(x: Array, Bt: Array) -> Array:
    """Bᵀ d of every tile d, row after row, each with a 0 before it, and zeros at the end.        (points, pixels, C)"""
    (n, H, B, C), T, m = x.shape, len(Bt), Bt.shape[1] - 2
    h, pixels, row = H // m, n * (H // m) * (B + 1), B * C * x.itemsize
    V = workspace("winograd V", (T, pixels + 4, C), x.dtype)
    V[:, pixels:] = 0
    tiles = V[:, :pixels].reshape(T, n, h, (B + 1) * C)
    tiles[..., :C] = 0

    def put(first: int, last: int, Bt: Array, d: Array) -> None:
        np.matmul(Bt, d, out=tiles[:, :, first:last, C:].transpose(1, 2, 0, 3))

    image = x.reshape(n, 1, H, B * C)
    if h == 1:  # the rows above and below the image are 0
        put(0, 1, Bt[:, 1:-1], image)
        return V
    inner = np.ndarray((n, h - 2, m + 2, B * C), x.dtype, x, (m - 1) * row, (H * row, m * row, row, x.itemsize))
    put(0, 1, Bt[:, 1:], image[:, :, : m + 1])
    put(1, h - 1, Bt, inner)
    put(h - 1, h, Bt[:, :-1], image[:, :, H - m - 1 :])
    return V


def _tiles(y: Array, h: int) -> Array:
    """(n, H, W, O)  →  (n, h, H/h, W·O)"""
    n, H, B, O = y.shape
    return y.reshape(n, h, H // h, B * O)


def transforms(x: Array) -> tuple[int, int, Array, Array, Array]:
    """m, m + 2, and A (m + 2, m), G (m + 2, 3), Bᵀ (m + 2, m + 2) of (1), for images like these."""
    return _transforms(4 if x.shape[1] % 4 == 0 else 2, x.dtype.char)


@cache
def _transforms(m: int, dtype: str) -> tuple[int, int, Array, Array, Array]:
    def at_points(coefficients: int) -> Array:
        """Σ_j c_j pʲ at every point p; at infinity, the last coefficient."""
        return np.array([[p**j for j in range(coefficients)] for p in POINTS[m]] + [[0] * (coefficients - 1) + [1]])

    A, G, values = at_points(m), at_points(3), at_points(m + 2)
    return m, m + 2, A.astype(dtype), G.astype(dtype), np.linalg.inv(values).T.astype(dtype)
