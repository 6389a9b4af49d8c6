"""Random crops of a padded image, and random flips: the two augmentations that every CIFAR paper uses.

Random numbers are drawn on the host; pixels are moved on their own device. The raw image is padded, so "constant" pads
with black, not with the mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from minilocal.array import Array, namespace
from minilocal.data.checks import check_padding
from minilocal.errors import UserError, boolean

if TYPE_CHECKING:
    from minilocal.data.dataset import DataSet


def augment(images: Array, dataset: DataSet, rng: np.random.Generator) -> Array:
    """`crop_and_flip` with the data set's own padding and flip.        uint8 (N, H, W, C)  →  the same

    Raises: UserError as `crop_and_flip`, and for anything but a data set.
    """
    if not hasattr(dataset, "pad_mode"):
        raise UserError(
            f"augment was given a {type(dataset).__name__} for its data set: give the DataSet of the images."
        )
    return crop_and_flip(images, dataset.padding, dataset.pad_mode, dataset.flip, rng)


def crop_positions(
    N: int, padding: int, flip: bool, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(top, left, mirrored) of N crops, drawn in this order: int, int and bool (N,)."""
    top, left = rng.integers(0, 2 * padding + 1, size=(2, N))
    return top, left, rng.random(N) < 0.5 if flip else np.zeros(N, bool)


def crop_and_flip(images: Array, padding: int, mode: str, flip: bool, rng: np.random.Generator) -> Array:
    """Each image padded, cropped to its size at a random position, and mirrored with probability 1/2.

        out[n, i, j] = padded[n, top_n + i, left_n + j]         top, left uniform in 0 ... 2 padding
                       (W - 1 - j in place of j when mirrored)

    images uint8 (N, H, W, C), and the result has the same shape. Image n takes the n-th numbers of `crop_positions`.

    Raises: UserError for anything but images, an unknown mode, a padding that does not fit the image, and anything
    but a generator.
    """
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4:
        got = f"{images.dtype} {images.shape}" if hasattr(images, "dtype") else f"a {type(images).__name__}"
        raise UserError(f"crop_and_flip takes raw images: give uint8 (N, H, W, C), not {got}.")
    if not isinstance(rng, np.random.Generator):
        raise UserError(f"rng = {rng!r} is no numpy.random.Generator: give minilocal.rng(0).")
    boolean("flip", flip)
    xp = namespace(images)
    N, H, W, C = images.shape
    check_padding("crop_and_flip", padding, mode, min(H, W))
    top, left, mirrored = crop_positions(N, padding, flip, rng)

    forwards = np.arange(W)
    columns = left[:, None] + np.where(mirrored[:, None], forwards[::-1], forwards)  # (N, W), in the padded image
    rows = np.arange(N)[:, None] * (H + 2 * padding) + top[:, None] + np.arange(H)  # (N, H), all images stacked
    pixels = rows[:, :, None] * (W + 2 * padding) + columns[:, None, :]

    edges = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    padded = xp.pad(images, edges, mode=mode).reshape(-1, C)
    return xp.take(padded, xp.asarray(pixels.reshape(-1)), axis=0).reshape(N, H, W, C)
