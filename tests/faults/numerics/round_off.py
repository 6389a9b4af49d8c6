"""A bound of each number's round-off, for im2col and for Winograd's form, derived from what is added and multiplied.

A sum of n products has an error of at most γ_n Σ |x| |w|, in any order, with γ_n = n u / (1 - n u) and u = eps / 2
(Higham, "Accuracy and Stability of Numerical Algorithms", 3.1). Winograd's form is three such sums, one inside the
other: the two transforms, the product of both over 3 C numbers, and the transform back. So its error is at most γ_n
times the same form of absolute values, |A|ᵀ [ (|G| |g|) ⊙ (|B|ᵀ |d|) ], and n is the roundings on the way of a number:

    of |B|ᵀ |d|   m + 2, and 1 of a constant        of the product   1, and the numbers that are added, less 1
    of |G| |g|    3, and 1                          of the way back  m + 2 (of dW 3), and 1
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal.kernels.cpu.winograd import transforms
from tests.helpers.plain import plain

Array = np.ndarray[Any, Any]


def gamma(n: int) -> float:
    """γ_n in float32."""
    u = float(np.finfo("float32").eps) / 2
    return n * u / (1 - n * u)


def by_im2col(x: Array, W: Array, dz: Array) -> tuple[Array, Array, Array]:
    """Bounds of the errors of z, dx and dW."""
    x, W, dz = (np.abs(a).astype("float64") for a in (x, W, dz))
    (k, _, C, O), pixels = W.shape, dz.size // dz.shape[3]
    dx, dW = plain.conv2d_backward(dz, x, W, 1, 1)
    return gamma(k * k * C) * plain.conv2d(x, W, 1, 1), gamma(k * k * O) * dx, gamma(pixels) * dW


def by_winograd(x: Array, W: Array, dz: Array) -> tuple[Array, Array, Array]:
    """The same, where Winograd's form is taken: dW comes of the transform of dz, as dx does."""
    x, W, dz = (np.abs(a).astype("float64") for a in (x, W, dz))
    m, T, A, G, Bt = transforms(x)
    A, G, Bt = (np.abs(a) for a in (A, G, Bt))
    (_, _, C, O), ahead, around = W.shape, T + 1 + 4 + 1, T + 1
    turned = W[::-1, ::-1].transpose(0, 1, 3, 2)
    z = gamma(ahead + 3 * C + around) * _convolve(x, W, A, G, Bt)
    dx = gamma(ahead + 3 * O + around) * _convolve(dz, turned, A, G, Bt)
    E, V = np.einsum("tm,nhmbc->nhtbc", A, _rows(x, m)), _points(dz, Bt)
    dU = np.stack([np.einsum("nhtbc,nhtbo->tco", E, V[:, :, :, j : j + x.shape[2]]) for j in range(3)])
    dg = np.einsum("ti,jtco->ijco", G, dU)[::-1, ::-1]
    added = x.shape[0] * (x.shape[1] // m) * (x.shape[2] + 1)
    return z, dx, gamma(T + 1 + m + 1 + 1 + added + 4) * dg


def _convolve(x: Array, W: Array, A: Array, G: Array, Bt: Array) -> Array:
    """Aᵀ [ (G g) ⊙ (Bᵀ d) ] of all tiles."""
    V, U = _points(x, Bt), np.einsum("ti,ijco->tjco", G, W)
    M = sum(np.einsum("nhtbc,tco->nhtbo", V[:, :, :, j : j + x.shape[2]], U[:, j]) for j in range(3))
    return np.einsum("tm,nhtbo->nhmbo", A, M).reshape(*x.shape[:3], W.shape[3])


def _points(x: Array, Bt: Array) -> Array:
    """Bᵀ d.        (N, H, W, C)  →  (N, tiles, points, W + 2, C)"""
    m = Bt.shape[1] - 2
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    tiles = np.stack([padded[:, i : i + m + 2] for i in range(0, x.shape[1], m)], axis=1)
    return np.einsum("td,nhdbc->nhtbc", Bt, tiles)


def _rows(x: Array, m: int) -> Array:
    N, H, B, C = x.shape
    return x.reshape(N, H // m, m, B, C)
