"""Data sets from the user's own `.npz` files, with train_x, train_y, test_x and test_y.

    np.savez("mine.npz", train_x=train_x, train_y=train_y, test_x=test_x, test_y=test_y)

Images are uint8, (N, H, W, C) or (N, H, W) for grey ones; labels are integers from 0. Two more keys are optional:
`classes`, an array of names, and `range`, (low, high) of images of other numbers. Nothing is unpickled.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from minilocal.data.arrays import from_arrays
from minilocal.data.dataset import DataSet
from minilocal.data.member import Arrays
from minilocal.data.unpacked import TIMES, most_of
from minilocal.errors import UserError, nearest, reason

MAGIC = b"\x93NUMPY"  # of a single array
NEEDED = ("train_x", "train_y", "test_x", "test_y")
KEYS = (*NEEDED, "classes", "range")
SAVED = f"numpy.savez(path, {', '.join(f'{key}={key}' for key in NEEDED)})"

# Common spellings of the words in a key: x_train, X_test, trainLabels, test_images ...
MEANINGS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "x": "x", "image": "x", "images": "x", "data": "x", "input": "x", "inputs": "x", "features": "x",
    "y": "y", "label": "y", "labels": "y", "target": "y", "targets": "y",
}  # fmt: skip


def load(path: str | Path) -> DataSet:
    """The data set that `from_arrays` makes of an `.npz` file.

    Raises: UserError, one line, for a missing or damaged file, and for every wrong key, dtype, shape and label.
    """
    path = Path(path).expanduser()
    name = f"npz:{path}"
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise UserError(f"npz:{path.absolute()} {what}; write it with {SAVED}.")
    dataset = from_arrays(**read(name, path, lambda keys: check_keys(name, keys)), name=name)
    return replace(dataset, notes=(f"your own images from {path.resolve()}", *dataset.notes))


def read(name: str, path: Path, choose: Callable[[list[str]], list[str]]) -> dict[str, np.ndarray]:
    """The arrays of a file whose keys `choose` selects; each is read to its end, so its checksum is compared.

    Raises: UserError, one line that begins with `name`, when the file is damaged or is not an `.npz` file.
    """
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) == MAGIC:
                raise UserError(f"{name}: this is one array (.npy), not the named ones that numpy.savez writes (.npz).")
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                arrays = Arrays(archive)
                keys = choose(arrays.files)
                _check_unpacked(name, path, sum(archive.getinfo(f"{key}.npy").file_size for key in keys))
                return {key: arrays[key] for key in keys}
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise any error
        why = reason(error)
        if isinstance(error, zipfile.BadZipFile) and "not a zip" in why:
            why = "it is no .npz file at all, or cut short"
        if "pickled" in why:
            why = f"{why.partition(':')[0]}; numbers only are read"
        raise UserError(f"{name}: the file cannot be read, {why}.") from None


def _check_unpacked(name: str, path: Path, nbytes: int) -> None:
    """Check that the arrays are not many times as long as the file; a small file could take all memory."""
    if nbytes > most_of(path):
        raise UserError(
            f"{name}: its arrays have {nbytes} bytes, more than {TIMES} times those of the file: write it with "
            "numpy.savez, which does not compress."
        )


def check_keys(name: str, keys: list[str]) -> list[str]:
    """`keys`, checked; UserError for a missing or unknown one."""
    if any(re.fullmatch(r"arr_\d+", key) for key in keys):
        raise UserError(f"{name}: its arrays have no names; write it with {SAVED}.")
    for key in keys:
        if key not in KEYS:
            hint = f"; did you mean {meant(key)!r}?" if meant(key) else nearest(key, KEYS)
            raise UserError(f"{name}: unknown key {key!r}{hint} Known: {', '.join(KEYS)}.")
    missing = [key for key in NEEDED if key not in keys]
    if missing:
        raise UserError(f"{name}: {', '.join(missing)} missing; the file has {', '.join(keys) or 'no arrays'}.")
    return keys


def meant(key: str) -> str | None:
    """The key that was meant: 'train_x' for 'x_train', 'X_train', 'trainImages', 'xtrain'; None where none was."""
    words = re.findall("training|train|testing|test|[a-z]+", re.sub("(?<=[a-z])(?=[A-Z])", "_", key).lower())
    words = [part for word in words for part in re.split("(?<=^[xy])(?=train|test)", word)]
    meanings = {MEANINGS.get(word, word) for word in words}
    return next((known for known in NEEDED if meanings == set(known.split("_"))), None)
