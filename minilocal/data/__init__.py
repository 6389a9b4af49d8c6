"""Data sets of images: `load` one by name, then take its `batches`.

    dataset = load("digits")
    for x, y in dataset.batches(epoch=0, batch_size=128, augment=True):
        ...

Everything here is NumPy on the host, but for batches of images that live on a device.
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

    CIFAR is looked for under `dir` (by default $MINILOCAL_DATA, or ~/.cache/minilocal) and fetched into it unless
    `download` is False. `validation` images are split off the training set, and then `limit_train` and `limit_test`
    keep so many of the others; all three are class-balanced, keep the old order and depend on `seed` only.

    Raises: UserError for an unknown name, for files that are missing, damaged or not what they should be, and for
    numbers that do not fit the data set.
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
    """Holds that a data set has this name. What its files hold is not looked at.

    Raises: UserError where none has.
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
    """Where fetched files are kept when nothing else is said: $MINILOCAL_DATA, or ~/.cache/minilocal."""
    return Path(os.environ.get("MINILOCAL_DATA") or "~/.cache/minilocal").expanduser()


def _folder(dir: str | Path | None) -> Path:
    folder = default_folder() if dir is None else Path(dir).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the data folder {folder} is a file; name the folder that it lies in.")
    return folder
