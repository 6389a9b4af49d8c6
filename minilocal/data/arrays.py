"""Data sets of the user's own arrays, with one line of error for each thing that can be wrong with them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from minilocal.data.checks import check_count, check_images
from minilocal.data.dataset import DataSet
from minilocal.errors import UserError

BLOCK = 1 << 22  # pixels that are counted at once, at most


def from_arrays(
    train_x: Any,
    train_y: Any,
    test_x: Any,
    test_y: Any,
    *,
    classes: Any = None,
    range: Any = None,
    name: str = "arrays",
) -> DataSet:
    """A data set of images and labels in memory, with mean and standard deviation of its training images.

    train_x, test_x   uint8 (N, H, W, C), or (N, H, W) for grey ones; any numbers where `range` says theirs
    train_y, test_y   integers (N,), 0, 1, 2, ...; each class has a training image
    classes           a name for each class; by default its number
    range             (low, high) of images that are not grey levels 0 to 255, as (0, 1) or (-1, 1) for floats; they are
                      kept as 256 grey levels, so a number changes by up to (high - low) / 510
    name              what errors and tables call it

    Augmentation is a shift by up to an eighth of the shorter side, with black behind it, and no flip, which may change
    the class of an image. `dataclasses.replace(dataset, flip=True, padding=4, mean=..., std=...)` changes any of it.

    Raises: UserError, one line, for every wrong dtype, shape, number of labels and label, and for a number outside the
    range.
    """
    train_x, test_x = as_images(name, "train_x", train_x, range), as_images(name, "test_x", test_x, range)
    train_y = as_labels(name, "train_y", train_y, len(train_x))
    test_y = as_labels(name, "test_y", test_y, len(test_x))
    names = class_names(name, train_y, test_y, classes)
    mean, std = statistics(train_x)
    notes = ["shapes, dtypes and labels checked", "mean and standard deviation computed from the training images"]
    if range is not None:
        low, high = limits(name, range)
        notes.append(f"numbers from {low:g} to {high:g} rounded to 256 grey levels")
    return DataSet(
        name, train_x, train_y, test_x, test_y, names, mean, std,
        padding=min(train_x.shape[1:3]) // 8, pad_mode="constant", flip=False, notes=tuple(notes),
    )  # fmt: skip


def as_array(name: str, key: str, values: Any) -> np.ndarray:
    """`values` as a NumPy array; an array is not copied."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # a ragged list, or an array on a device
        raise UserError(f"{name}: {key} is no array of numbers: {' '.join(str(error).split())}") from None


def as_images(name: str, key: str, images: Any, range: Any = None) -> np.ndarray:
    """`images` as uint8 (N, H, W, C); grey images (N, H, W) get their channel.

    Raises: UserError where they are not images, are not uint8 and state no `range`, or leave it.
    """
    x = as_array(name, key, images)
    x = x[..., None] if x.ndim == 3 else x
    x = x if range is None else as_grey_levels(name, key, x, *limits(name, range))
    check_images(name, key, x, hint=" Or state the range of these numbers, as range=(0, 1).")
    return np.ascontiguousarray(x)


def limits(name: str, range: Any) -> tuple[float, float]:
    """(low, high) of a stated range.

    Raises: UserError where it is no two finite numbers, the smaller first.
    """
    ends = as_array(name, "range", range)
    if ends.shape != (2,) or ends.dtype.kind not in "iuf" or not np.isfinite(ends).all() or ends[0] >= ends[1]:
        raise UserError(f"{name}: range is {' '.join(str(range).split())}; give two numbers, low and high, as (0, 1).")
    return float(ends[0]), float(ends[1])


def as_grey_levels(name: str, key: str, x: np.ndarray, low: float, high: float) -> np.ndarray:
    """round(255 (x - low) / (high - low)), uint8, of images of any numbers from `low` to `high`.

    Raises: UserError for a number outside, or not finite.
    """
    if x.dtype.kind not in "biuf" or not x.size or x.ndim < 2:
        return x  # the next check names what is wrong
    least, most = float(x.min()), float(x.max())
    if not low <= least <= most <= high:
        wrong = least if not least >= low else most
        raise UserError(f"{name}: {key} holds {wrong:g}, outside the range {low:g} to {high:g} that is stated.")
    levels = np.empty(x.shape, np.uint8)
    for image, grey in zip(x, levels, strict=True):  # one by one: the whole set in float64 may not fit into memory
        grey[...] = np.rint((image.astype(np.float64) - low) * (255 / (high - low)))
    return levels


def as_labels(name: str, key: str, labels: Any, images: int) -> np.ndarray:
    """`labels` of this many images as int64 (N,)."""
    y = as_array(name, key, labels)
    if y.ndim != 1 or len(y) == 0:
        hint = ""
        if y.ndim == 2 and len(y):
            hint = f" Take {key}[:, 0]." if y.shape[1] == 1 else f" Are they one-hot? Take {key}.argmax(axis=1)."
        raise UserError(f"{name}: {key} has shape {y.shape}; labels must be (N,), one integer an image.{hint}")
    check_count(name, key, y, images)
    if y.dtype.kind in "US":
        raise UserError(
            f"{name}: {key} is text; labels must be integers from 0: classes, train_y = numpy.unique(train_y, "
            "return_inverse=True) and then test_y = numpy.searchsorted(classes, test_y)."
        )
    if not np.issubdtype(y.dtype, np.integer):
        raise UserError(f"{name}: {key} is {y.dtype}; labels must be integers from 0, as {key}.astype('int64') gives.")
    if int(y.min()) < 0 or int(y.max()) > np.iinfo(np.int64).max:
        raise UserError(f"{name}: {key} holds the label {y.min() if int(y.min()) < 0 else y.max()}; labels run from 0.")
    return y.astype(np.int64)


def class_names(name: str, train: np.ndarray, test: np.ndarray, classes: Any) -> tuple[str, ...]:
    """One name per class: from `classes`, else its number. Every class must have a training image."""
    known = np.unique(train)
    count = int(known[-1]) + 1
    if int(known[0]) == 1 and len(known) == count - 1:
        raise UserError(f"{name}: train_y runs from 1 to {count - 1}; labels run from 0: subtract 1, from test_y too.")
    if len(known) < count:
        absent = int(np.flatnonzero(known != np.arange(len(known)))[0])
        raise UserError(
            f"{name}: train_y goes up to {count - 1} without a {absent}; labels must be 0, 1, 2, ..., no gap."
        )
    if int(test.max()) >= count:
        raise UserError(f"{name}: test_y holds the label {int(test.max())}, but train_y only goes up to {count - 1}.")
    if classes is None:
        return tuple(str(c) for c in range(count))
    names = as_array(name, "classes", classes)
    if names.dtype.kind != "U" or names.shape != (count,):
        raise UserError(f"{name}: classes is {names.dtype} {names.shape}; expected {count} names, ({count},) of text.")
    return tuple(str(n) for n in names)


def statistics(x: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel on [0, 1]; the deviation of a constant channel is set to 1.

    Both are computed from the counts of the 256 levels, in blocks of images: `bincount` makes eight bytes of each.
    """
    levels = np.arange(256) / 255
    images = max(1, BLOCK // max(1, prod(x.shape[1:3])))
    mean, std = [], []
    for c in range(x.shape[3]):
        blocks = (x[i : i + images, ..., c].reshape(-1) for i in range(0, len(x), images))
        share = sum(np.bincount(block, minlength=256) for block in blocks) / (x.size // x.shape[3])
        m = float((share * levels).sum())
        s = float(np.sqrt((share * (levels - m) ** 2).sum()))
        mean.append(m)
        std.append(s if s > 1e-9 else 1.0)
    return tuple(mean), tuple(std)
