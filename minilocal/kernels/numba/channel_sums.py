"""Sums over the rows of an array (rows, channels), and the statistics of a batch made of them.

Several rows side by side are one wide row, and a number per channel is repeated for each of them: the inner loops are
then long enough for vectors at 16 channels. RUN wide rows are added in the array's type, and then to float64.

The variance is made of sums of d = z - shift, where the shift is near the mean: σ² = Σd²/n - (Σd/n)². In float32
nothing would be left of it without one as soon as the mean is many deviations. Each part of a batch has its own shift.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels.numba.compiled import compiled
from minilocal.ops.batch_norm import Statistics

WIDE = 256  # numbers in a wide row, at most, unless there are more channels
RUN = 8  # wide rows that are added in the array's type
FIRST = 64  # rows that a shift is the mean of


@compiled
def add_sums(z: Array, first: int, last: int, shift: Array, total: Array, e: Array | None = None) -> None:
    """total += (Σ d, Σ d²), or with an error e (Σ e, Σ e d), over the rows from first up to last, where d = z - shift.

    z, e (rows, C) contiguous, shift (C,), total (2, C) in float64. Nothing but the shift's length is checked.
    """
    C = z.shape[1]
    wide = side_by_side(shift, C)
    W, sums = wide.size, np.zeros((2, wide.size))
    x = z[first:last].reshape(-1)
    error = x if e is None else e[first:last].reshape(-1)
    runs = x.size - x.size % (RUN * W)
    for at in range(0, runs, RUN * W):
        add_rows(x[at:], None if e is None else error[at:], wide, RUN, sums)
    for at in range(runs, x.size, W):
        add_rows(x[at:], None if e is None else error[at:], wide[: x.size - at], 1, sums)
    for at in range(0, W, C):
        total += sums[:, at : at + C]


@compiled
def add_rows(x: Array, e: Array | None, shift: Array, rows: int, sums: Array) -> None:
    """sums += (Σ d, Σ d²) or (Σ e, Σ e d) over the first rows of x and e, each as long as the shift.      x, e flat"""
    W = shift.size
    for v in range(W):
        s = q = x.dtype.type(0)
        for i in range(rows):
            d = x[i * W + v] - shift[v]
            f = d if e is None else e[i * W + v]
            s += f
            q += f * d
        sums[0, v] += s
        sums[1, v] += q


@compiled
def first_mean(z: Array, first: int, last: int) -> Array:
    """The mean of the first of the rows from first up to last: a shift near the mean of all.      z (rows, C) → (C,)"""
    n = min(FIRST, last - first)
    mean = np.zeros(z.shape[1], z.dtype)
    for i in range(first, first + n):
        mean += z[i]
    return mean / z.dtype.type(n)


def shifted_sums(z: Array, first: int, last: int) -> tuple[Array, Array]:
    """((Σ d, Σ d²), shift) of the rows from first up to last, with a shift of their own.        (2, C), (C,)"""
    total, shift = np.zeros((2, z.shape[1])), first_mean(z, first, last)
    add_sums(z, first, last, shift, total)
    return total, shift


def combine(totals: Sequence[Array], shifts: Sequence[Array], rows: Sequence[int], eps: float) -> Statistics:
    """The statistics of a batch, of its parts' totals (2, C) by `add_sums`, their shifts (C,) and numbers of rows."""
    dtype = shifts[0].dtype
    mean, variance = (a.astype(dtype) for a in chan(np.stack(totals), np.stack(shifts), np.array(rows)))
    return Statistics(mean, variance, 1 / np.sqrt(variance + eps), sum(rows))


@compiled
def chan(totals: Array, shifts: Array, rows: Array) -> tuple[Array, Array]:
    """μ and σ² in float64: one part after the other joins those before it (Chan, Golub and LeVeque, 1979).

    With δ from the mean of the n rows so far to the mean of the next part, which has m rows and squares S₊ about it:
    μ ← μ + δ m/(n + m)        S ← S + S₊ + δ² nm/(n + m)        σ² = S/n
    """
    n, mean, S = 0, np.zeros(shifts.shape[1]), np.zeros(shifts.shape[1])
    for (d, d2), shift, m in zip(totals, shifts, rows):  # noqa: B905 (Numba has no strict=)
        delta = shift + d / m - mean
        mean += delta * (m / (n + m))
        S += d2 - d * d / m + delta * delta * (n * m / (n + m))
        n += m
    return mean, np.maximum(S / n, 0)


@compiled
def side_by_side(row: Array, C: int) -> Array:
    """A number per channel, repeated for every row of a wide one.        (C,) → (about WIDE,)"""
    wide = np.empty((max(1, WIDE // C), C), row.dtype)
    wide[:] = row
    return wide.reshape(-1)
