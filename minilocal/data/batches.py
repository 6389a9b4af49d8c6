"""Batches in an order, and with crops, that (key, epoch, step) name: stopping and resuming changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minilocal.array import Array, namespace, stream
from minilocal.data.augmentation import augment as crop
from minilocal.data.dataset import DataSet
from minilocal.errors import UserError


def order(n: int, key: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits n images: a permutation, int64 (n,)."""
    return stream(key, "order", epoch).permutation(n)


def batches(
    x: Array,
    y: Array,
    dataset: DataSet,
    batch_size: int,
    *,
    key: int,
    epoch: int,
    augment: bool,
    dtype: Any = "float32",
    start: int = 0,
) -> Iterator[tuple[int, Array, Array]]:
    """The training batches of one epoch from step `start` on: (step, normalised images (N, H, W, C), labels (N,)).

    x and y may live on a device; the batches stay there. The last batch holds what is left and may be smaller.
    `augment` crops and mirrors as the data set allows, from the stream (key, "augment", epoch, step).

    Raises: UserError when x and y differ in length, or for a batch size below 1.
    """
    _check(x, y, batch_size)
    xp, visits = namespace(x), order(len(x), key, epoch)
    for step in range(start, -(-len(x) // batch_size)):
        chosen = xp.asarray(visits[step * batch_size : (step + 1) * batch_size])
        images = x[chosen]
        if augment:
            images = crop(images, dataset, stream(key, "augment", epoch, step))
        yield step, dataset.normalise(images, dtype), y[chosen]


def evaluation_batches(
    x: Array, y: Array, dataset: DataSet, batch_size: int, *, dtype: Any = "float32"
) -> Iterator[tuple[int, Array, Array]]:
    """All images in their own order, normalised and not augmented: (step, images (N, H, W, C), labels (N,)).

    Raises: as `batches`.
    """
    _check(x, y, batch_size)
    for step, first in enumerate(range(0, len(x), batch_size)):
        part = slice(first, first + batch_size)
        yield step, dataset.normalise(x[part], dtype), y[part]


def _check(x: Array, y: Array, batch_size: int) -> None:
    if len(x) != len(y):
        raise UserError(f"{len(x)} images met {len(y)} labels: every image needs one label.")
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise UserError(f"the batch size is {batch_size!r}, but it must be an integer of at least 1.")
