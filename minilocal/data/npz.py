"""The user's own images: an `.npz` file with train_x, train_y, test_x and test_y.

    np.savez("mine.npz", train_x=..., train_y=..., test_x=..., test_y=...)

Images are uint8, (N, H, H, C) or (N, H, H) for grey ones; labels are integers from 0. `classes`, an array of names, may
come with them. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from minilocal.data.dataset import DataSet, check_images
from minilocal.errors import UserError, nearest

NEEDED = ("train_x", "train_y", "test_x", "test_y")
KEYS = (*NEEDED, "classes")


def load(path: str | Path) -> DataSet:
    """The images of an `.npz` file, with mean and deviation computed from its training images.

    Augmentation is a shift by up to an eighth of the side, black behind it, and no flip: what else keeps these
    images in their class is not known here.

    Raises: UserError, one line, for a missing or damaged file, and for every wrong key, dtype, shape and label.
    """
    path = Path(path).expanduser()
    name = f"npz:{path}"
    arrays = read(name, path)
    train_x, test_x = (as_images(name, key, arrays[key]) for key in ("train_x", "test_x"))
    train_y, test_y = (as_labels(name, key, arrays[key]) for key in ("train_y", "test_y"))
    classes = class_names(name, train_y, test_y, arrays.get("classes"))
    mean, std = statistics(train_x)
    notes = (
        f"your own images from {path.resolve()}: shapes, dtypes and labels checked",
        "mean and standard deviation computed from the training images",
    )
    return DataSet(
        name, train_x, train_y, test_x, test_y, classes, mean, std,
        padding=train_x.shape[1] // 8, pad_mode="constant", flip=False, notes=notes,
    )  # fmt: skip


def read(name: str, path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file, when it has the right keys."""
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise UserError(f"{name}: {path.absolute()} {what}; write it with numpy.savez(path, {', '.join(NEEDED)}).")
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise UserError(f"{name}: this is one array (.npy); numpy.savez writes several ({', '.join(NEEDED)}).")
        with archive:
            check_keys(name, archive.files)
            return {key: archive[key] for key in archive.files}
    except UserError:
        raise
    except (ValueError, EOFError, OSError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())
        if "allow_pickle" in reason or "pickled" in reason:
            reason = "it holds Python objects or is no .npz file at all; numbers only are read"
        raise UserError(f"{name}: the file cannot be read, {reason or type(error).__name__}.") from None


def check_keys(name: str, keys: list[str]) -> None:
    """UserError for a missing key, and for one that is not known."""
    for key in keys:
        if key not in KEYS:
            raise UserError(f"{name}: unknown key {key!r}{nearest(key, KEYS) or '.'} Known: {', '.join(KEYS)}.")
    missing = [key for key in NEEDED if key not in keys]
    if missing:
        raise UserError(f"{name}: {', '.join(missing)} missing; the file has {', '.join(keys) or 'no arrays'}.")


def as_images(name: str, key: str, x: np.ndarray) -> np.ndarray:
    """`x` as uint8 (N, H, H, C); grey images (N, H, H) get their channel."""
    x = x[..., None] if x.ndim == 3 else x
    check_images(name, key, x)
    return np.ascontiguousarray(x)


def as_labels(name: str, key: str, y: np.ndarray) -> np.ndarray:
    """`y` as int64 (N,)."""
    if y.ndim != 1 or len(y) == 0:
        raise UserError(f"{name}: {key} has shape {y.shape}; labels must be (N,), one integer an image.")
    if not np.issubdtype(y.dtype, np.integer):
        raise UserError(f"{name}: {key} is {y.dtype}; labels must be integers from 0.")
    if int(y.min()) < 0 or int(y.max()) > np.iinfo(np.int64).max:
        raise UserError(f"{name}: {key} holds the label {y.min() if int(y.min()) < 0 else y.max()}; labels run from 0.")
    return y.astype(np.int64)


def class_names(name: str, train: np.ndarray, test: np.ndarray, names: np.ndarray | None) -> tuple[str, ...]:
    """One name per class, from `classes` or the numbers themselves; every class must have a training image."""
    known = np.unique(train)
    count = int(known[-1]) + 1
    if len(known) < count:
        absent = int(np.flatnonzero(known != np.arange(len(known)))[0])
        raise UserError(
            f"{name}: train_y goes up to {count - 1} without a {absent}; labels must be 0, 1, 2, ..., no gap."
        )
    if int(test.max()) >= count:
        raise UserError(f"{name}: test_y holds the label {int(test.max())}, but train_y only goes up to {count - 1}.")
    if names is None:
        return tuple(str(c) for c in range(count))
    if names.dtype.kind != "U" or names.shape != (count,):
        raise UserError(f"{name}: classes is {names.dtype} {names.shape}; expected {count} names, ({count},) of text.")
    return tuple(str(n) for n in names)


def statistics(x: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each channel on [0, 1], from counts of the 256 levels; a constant channel gets 1."""
    levels = np.arange(256) / 255
    mean, std = [], []
    for c in range(x.shape[3]):
        share = np.bincount(x[..., c].reshape(-1), minlength=256) / x[..., c].size
        m = float((share * levels).sum())
        s = float(np.sqrt((share * (levels - m) ** 2).sum()))
        mean.append(m)
        std.append(s if s > 1e-9 else 1.0)
    return tuple(mean), tuple(std)
