"""Data sets of images: `load` one by name, then take its `batches`.

    dataset = load("digits")
    for x, y in dataset.batches(epoch=0, batch_size=128, augment=True):
        ...

Everything is NumPy on the host, except batches for a device, which are made on it.
"""

from __future__ import annotations

import os
from pathlib import Path

from minilocal.data import cifar, digits, npz
from minilocal.data.arrays import from_arrays
from minilocal.data.augmentation import augment, crop_and_flip
from minilocal.data.batches import evaluation_batches, order
from minilocal.data.dataset import DataSet
from minilocal.data.official import FORMATS
from minilocal.data.show import contact_sheet, describe
from minilocal.errors import UserError, unknown

__all__ = [
    "NAMES",
    "DataSet",
    "augment",
    "check_name",
    "contact_sheet",
    "crop_and_flip",
    "default_folder",
    "describe",
    "evaluation_batches",
    "from_arrays",
    "load",
    "order",
]


def __dir__() -> list[str]:
    return sorted(__all__)


NAMES = ("digits", *FORMATS, "npz:PATH")


def load(
    name: str,
    *,
    dir: str | Path | None = None,
    download: bool = True,
    limit_train: int | None = None,
    limit_test: int | None = None,
    validation: int = 0,
    seed: int = 0,
) -> DataSet:
    """The data set called `name`: "digits", "cifar10", "cifar100", or "npz:PATH" for the user's own images.

    dir                       where CIFAR's files are: by default $MINILOCAL_DATA, or ~/.cache/minilocal
    download                  whether missing files may be fetched into `dir`
    validation                training images to split off as the validation part
    limit_train, limit_test   images to keep of the training part, after that split, and of the test part

    All three parts are class-balanced, keep the order of the files and depend on `seed` only.

    Raises: UserError for an unknown name, for missing, damaged or wrong files, and for numbers that do not fit the
    data set.
    """
    check_name(name)
    if name == "digits":
        dataset = digits.load()
    elif name in FORMATS:
        dataset = cifar.load(FORMATS[name], _folder(dir), download)
    else:
        dataset = npz.load(name.removeprefix("npz:"))
    return dataset.reduced(limit_train=limit_train, limit_test=limit_test, validation=validation, seed=seed)


def check_name(name: str) -> None:
    """Check that `name` is the name of a data set, without reading any file.

    Raises: UserError where it is not.
    """
    if not isinstance(name, str):
        raise UserError(f"data set {name!r} is no name: give one of {', '.join(NAMES)}; arrays take data.from_arrays.")
    if name.startswith("npz:") and name != "npz:":
        return
    if name.endswith(".npz"):
        raise UserError(f"data set {name!r} is not known; did you mean 'npz:{name}'? Files of your own take npz:PATH.")
    if name not in NAMES or name == "npz:PATH":
        raise unknown("data set", name, NAMES)


def default_folder() -> Path:
    """The default folder of fetched files: $MINILOCAL_DATA, or ~/.cache/minilocal."""
    return Path(os.environ.get("MINILOCAL_DATA") or "~/.cache/minilocal").expanduser()


def _folder(dir: str | Path | None) -> Path:
    folder = default_folder() if dir is None else Path(dir).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the data folder {folder} is a file; name the folder that it lies in.")
    return folder
