"""Data sets of the user's own arrays, with one line of error for each thing that can be wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilocal.data.checks import check_count, check_images
from minilocal.data.dataset import DataSet
from minilocal.errors import UserError


def from_arrays(
    train_x: Any, train_y: Any, test_x: Any, test_y: Any, *, classes: Any = None, name: str = "arrays"
) -> DataSet:
    """A data set of images and labels in memory, with mean and standard deviation of its training images.

    train_x, test_x   uint8 (N, H, H, C), or (N, H, H) for grey ones
    train_y, test_y   integers (N,), 0, 1, 2, ...; each class has a training image
    classes           a name for each class; by default its number
    name              what errors and tables call it

    Augmentation is a shift by up to an eighth of the side, with black behind it, and no flip, which may change the
    class of an image. `dataclasses.replace(dataset, flip=True, padding=4, mean=..., std=...)` changes any of it.

    Raises: UserError, one line, for every wrong dtype, shape, number of labels and label.
    """
    train_x, test_x = as_images(name, "train_x", train_x), as_images(name, "test_x", test_x)
    train_y = as_labels(name, "train_y", train_y, len(train_x))
    test_y = as_labels(name, "test_y", test_y, len(test_x))
    names = class_names(name, train_y, test_y, classes)
    mean, std = statistics(train_x)
    notes = ("shapes, dtypes and labels checked", "mean and standard deviation computed from the training images")
    return DataSet(
        name, train_x, train_y, test_x, test_y, names, mean, std,
        padding=train_x.shape[1] // 8, pad_mode="constant", flip=False, notes=notes,
    )  # fmt: skip


def as_array(name: str, key: str, values: Any) -> np.ndarray:
    """`values` as a NumPy array; an array is not copied."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError) as error:  # a ragged list, or an array on a device
        raise UserError(f"{name}: {key} is no array of numbers: {' '.join(str(error).split())}") from None


def as_images(name: str, key: str, images: Any) -> np.ndarray:
    """`images` as uint8 (N, H, H, C); grey images (N, H, H) get their channel."""
    x = as_array(name, key, images)
    x = x[..., None] if x.ndim == 3 else x
    check_images(name, key, x)
    return np.ascontiguousarray(x)


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

    Both are computed from the counts of the 256 levels.
    """
    levels = np.arange(256) / 255
    mean, std = [], []
    for c in range(x.shape[3]):
        share = np.bincount(x[..., c].reshape(-1), minlength=256) / x[..., c].size
        m = float((share * levels).sum())
        s = float(np.sqrt((share * (levels - m) ** 2).sum()))
        mean.append(m)
        std.append(s if s > 1e-9 else 1.0)
    return tuple(mean), tuple(std)
