"""crop_flip_normalise (ops/augment.py), pixel by pixel: nothing is padded, an index says what would be there."""

from __future__ import annotations

import numpy as np
from numpy import ndarray as Array

from minilocal.kernels import aligned
from minilocal.kernels.numba.compiled import compiled
from minilocal.kernels.threads import parallel_map, partition
from minilocal.ops.augment import crop_flip_normalise as operation
from minilocal.ops.dispatch import plain

PLAIN = plain(operation)


def crop_flip_normalise(images: Array, picks: Array, table: Array, padding: int, mode: str) -> Array:
    """The batch, a new array. What is not as the operation says takes the plain code, and its errors."""
    if not _usual(images, picks, table, padding, mode):
        return PLAIN(images, picks, table, padding, mode)
    out = aligned.empty((len(picks), *images.shape[1:]), table.dtype)
    images, picks, table = np.asarray(images), np.ascontiguousarray(picks), np.ascontiguousarray(table)
    reflect = mode == "reflect"
    parallel_map(lambda i, j: cut(images, picks[i:j], table, padding, reflect, out[i:j]), partition(len(picks)))
    return out


@compiled
def cut(images: Array, picks: Array, table: Array, padding: int, reflect: bool, out: Array) -> None:
    """out[n, i, j, c] = table[the image's grey level at the row and column of i and j, or 0 outside of it, c]."""
    N, H, W, C = out.shape
    for n in range(N):
        image, top, left, mirrored = picks[n]
        for i in range(H):
            row = inside(top - padding + i, H, reflect)
            for j in range(W):
                column = inside(left - padding + (W - 1 - j if mirrored else j), W, reflect)
                for c in range(C):
                    grey = images[image, row, column, c] if row >= 0 and column >= 0 else np.uint8(0)
                    out[n, i, j, c] = table[grey, c]


@compiled
def inside(at: int, size: int, reflect: bool) -> int:
    """The index inside an axis for one in its padding: to and fro where it reflects, else -1."""
    if 0 <= at < size:
        return at
    if not reflect:
        return -1
    at = abs(at) % max(1, 2 * size - 2)
    return min(at, 2 * size - 2 - at)


def _usual(images: Array, picks: Array, table: Array, padding: int, mode: str) -> bool:
    """Whether all arguments are as the operation says, so that no index lies outside of its array."""
    if mode not in ("constant", "reflect") or images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        return False
    if picks.dtype.kind != "i" or picks.shape[1:] != (4,) or table.shape != (256, images.shape[3]):
        return False
    most = (len(images) - 1, 2 * padding, 2 * padding, 1)
    return padding >= 0 and bool(np.all((picks >= 0) & (picks <= most)))
