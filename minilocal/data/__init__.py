"""Data sets of images: `load` one by name, then take its `batches`.

    dataset = load("digits")
    for x, y in dataset.batches(epoch=0, batch_size=128, augment=True):
        ...

Everything is NumPy on the host, except batches for a device, which are made on it.
"""

from __future__ import annotations

import os
from pathlib import Path

from minilocal.data import copies, digits, npz, pictures
from minilocal.data.arrays import from_arrays
from minilocal.data.augmentation import augment, crop_and_flip
from minilocal.data.batches import evaluation_batches, order
from minilocal.data.dataset import DataSet
from minilocal.data.official import FORMATS
from minilocal.data.show import contact_sheet, describe
from minilocal.errors import UserError, path_of, unknown

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


LONG_TAILED = ("cifar10-lt", "digits-lt")
NAMES = ("digits", *FORMATS, *LONG_TAILED, "npz:PATH", "folder:PATH")
SCHEMES = {"npz": npz.load, "folder": pictures.load}


def load(
    name: str,
    *,
    dir: str | Path | None = None,
    download: bool = True,
    source: str | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
    validation: int = 0,
    seed: int = 0,
) -> DataSet:
    """The data set called `name`, one of `NAMES`: "npz:PATH" and "folder:PATH" are for the user's own images.

    dir                       where fetched files are: by default $MINILOCAL_DATA, or ~/.cache/minilocal
    download                  whether missing files may be fetched into `dir`
    validation                training images to split off as the validation part
    source                    where they are fetched from, in place of the official addresses: the address of a mirror,
                              a folder or a file; length and checksum are compared all the same
    limit_train, limit_test   images to keep of the training part, after that split, and of the test part

    All three parts are class-balanced (in SVHN, "cifar10-lt" and "digits-lt", which are imbalanced, they keep the
    classes' shares). They keep the order of the files and depend on `seed` only. The images of the long-tailed data
    sets are the same for every seed.

    Raises: UserError for an unknown name, for missing, damaged or wrong files, and for numbers that do not fit the
    data set.
    """
    check_name(name)
    if source is not None and not (download and name.removesuffix("-lt") in FORMATS):
        why = f"{name} is not fetched" if download else "download = False forbids to fetch"
        raise UserError(f"source = {source!r}, but {why}: leave one of them out.")
    if name == "digits":
        dataset = digits.load()
    elif name in LONG_TAILED:
        dataset = load(name.removesuffix("-lt"), dir=dir, download=download, source=source).long_tailed()
    elif name in FORMATS:
        dataset = copies.load(FORMATS[name], _folder(dir), download, source)
    else:
        scheme, _, path = name.partition(":")
        dataset = SCHEMES[scheme](path)
    return dataset.reduced(limit_train=limit_train, limit_test=limit_test, validation=validation, seed=seed)


def check_name(name: str) -> None:
    """Check that `name` is the name of a data set; its files are neither looked for nor read.

    Raises: UserError where it is not.
    """
    if not isinstance(name, str):
        raise UserError(f"data set {name!r} is no name: give one of {', '.join(NAMES)}; arrays take data.from_arrays.")
    scheme, _, path = name.partition(":")
    if path and path != "PATH" and scheme in SCHEMES:
        return
    if name.endswith(".npz"):
        raise UserError(f"data set {name!r} is not known; did you mean 'npz:{name}'? Files of your own take npz:PATH.")
    if name not in NAMES and os.path.isdir(os.path.expanduser(name)):
        raise UserError(
            f"data set {name!r} is a folder; did you mean 'folder:{name}'? Pictures of your own take folder:PATH."
        )
    if name not in NAMES or path == "PATH":
        raise unknown("data set", name, NAMES)


def default_folder() -> Path:
    """The default folder of fetched files: $MINILOCAL_DATA, or ~/.cache/minilocal."""
    return Path(os.environ.get("MINILOCAL_DATA") or "~/.cache/minilocal").expanduser()


def _folder(dir: str | Path | None) -> Path:
    folder = default_folder() if dir is None else path_of("dir", dir).expanduser()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"the data folder {folder} is a file; name the folder that it lies in.")
    return folder
