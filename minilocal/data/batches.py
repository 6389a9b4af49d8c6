"""Batches of raw images, normalised and augmented. (key, epoch, step) names the order and the crops, so a resumed run
meets the batches of the run that was not stopped.

On a device the raw images stay where they are. The choices of a whole epoch, (image, top, left, mirrored) for each
image, are drawn on the host and copied once, before the first step. A batch is then one kernel, and no step waits for
a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from minilocal import ops
from minilocal.array import Array, namespace
from minilocal.data.augmentation import augment as crop
from minilocal.data.augmentation import crop_positions
from minilocal.device import beside
from minilocal.errors import UserError, whole
from minilocal.streams import stream

if TYPE_CHECKING:
    from minilocal.data.dataset import DataSet


def order(n: int, key: int, epoch: int) -> np.ndarray:
    """The order in which an epoch visits n images: a permutation, int64 (n,).

    Raises: UserError for numbers that are no whole ones of 0 or more.
    """
    n, key, epoch = whole("n", n, 0), whole("key", key, 0), whole("epoch", epoch, 0)
    return stream(key, "order", epoch).permutation(n)


def training_batches(
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
) -> Iterator[tuple[Array, Array]]:
    """`DataSet.batches` of training images x and labels y that are on their device already."""
    visits, steps = order(len(x), key, epoch), range(start, -(-len(x) // batch_size))
    if namespace(x) is not np:
        picks = np.zeros((len(x), 4), np.int32)
        picks[:, 0] = visits
        for step in steps if augment else ():
            part = picks[step * batch_size : (step + 1) * batch_size]
            positions = crop_positions(len(part), dataset.padding, dataset.flip, stream(key, "augment", epoch, step))
            part[:, 1:] = np.stack(positions, axis=1)
        yield from _cut_out(x, y, dataset, picks, steps, batch_size, dataset.padding if augment else 0, dtype)
        return
    for step in steps:
        chosen = visits[step * batch_size : (step + 1) * batch_size]
        images = x[chosen]
        if augment:
            images = crop(images, dataset, stream(key, "augment", epoch, step))
        yield dataset.normalise(images, dtype), y[chosen]


def evaluation_batches(
    x: Array, y: Array, dataset: DataSet, batch_size: int, *, dtype: Any = "float32"
) -> Iterator[tuple[Array, Array]]:
    """All images in their own order, normalised and not augmented: (images (N, H, W, C), labels (N,)).

    x, uint8 (N, H, W, C), and y may live on a device; the batches stay there.

    Raises: UserError when x and y differ in length, for a batch size below 1, and where `dataset` is none.
    """
    if not hasattr(dataset, "normalise"):
        raise UserError(
            f"batches was given a {type(dataset).__name__} for its data set: give the DataSet that x is of."
        )
    if len(x) != len(y):
        raise UserError(f"{len(x)} images met {len(y)} labels: every image needs one label.")
    steps = range(-(-len(x) // whole("batch size", batch_size)))
    if namespace(x) is not np:
        picks = np.zeros((len(x), 4), np.int32)
        picks[:, 0] = np.arange(len(x))
        yield from _cut_out(x, y, dataset, picks, steps, batch_size, 0, dtype)
        return
    for step in steps:
        part = slice(step * batch_size, (step + 1) * batch_size)
        yield dataset.normalise(x[part], dtype), y[part]


def _cut_out(
    x: Array, y: Array, dataset: DataSet, picks: np.ndarray, steps: range, batch_size: int, padding: int, dtype: Any
) -> Iterator[tuple[Array, Array]]:
    """The batches that rows of `picks` (all, 4) select from the images x and labels y on a device."""
    xp = namespace(x)
    with beside(x):
        picked, table = xp.asarray(picks), xp.asarray(dataset.grey_levels(dtype))
        labels = y[picked[:, 0]]
    for step in steps:
        part = slice(step * batch_size, (step + 1) * batch_size)
        with beside(x):  # ended before the caller goes on
            images = ops.crop_flip_normalise(x, picked[part], table, padding, dataset.pad_mode)
        yield images, labels[part]
