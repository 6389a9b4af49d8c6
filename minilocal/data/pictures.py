"""Data sets from folders of PNG or JPEG pictures, one folder a class, which Pillow reads.

    PATH/train/CLASS/*.png      PATH/test/CLASS/*.png       or, without a split:  PATH/CLASS/*.png

Without `train` and `test`, a fifth of the pictures of each class are for testing, the same ones every time. Classes are
numbered in the order of their names. Pictures have one size. They are grey where all of them are, else in colour.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.data.arrays import from_arrays
from minilocal.data.dataset import DataSet
from minilocal.errors import UserError, nearest, reason
from minilocal.streams import stream

SUFFIXES = (".png", ".jpg", ".jpeg")
GREY = ("1", "L")
COLOUR = ("RGB", "CMYK", "YCbCr")
TRANSPARENT = ("RGBA", "LA", "PA", "P")  # a palette may have opacity
FREE, TIMES = 1 << 21, 10  # pixels of a file: two million, and 10 for each byte; a photograph has less than 8
SPLIT_SEED, TESTED = 0, 5  # of the split: its seed, and one picture in so many is for testing
LAYOUT = "PATH/train/CLASS/*.png and PATH/test/CLASS/*.png, or PATH/CLASS/*.png without a split"


def load(path: str | Path) -> DataSet:
    """The data set of the pictures in a folder; mean, deviation and augmentation as in `from_arrays`.

    Raises: UserError, one line, where the folder or Pillow is missing, and for every file that is damaged, no PNG or
    JPEG, transparent, of more than 8 bits, or of another size.
    """
    path = Path(path).expanduser()
    name = f"folder:{path}"
    if not path.is_dir():
        what = "is a file, not a folder" if path.exists() else "does not exist"
        raise UserError(f"folder:{path.absolute()} {what}; lay it out as {LAYOUT}.")
    if find_spec("PIL") is None:
        raise UserError(f"{name}: reading pictures needs Pillow: in the clone, pip install -e '.[pictures]'.")
    classes, train, test, notes = listed(name, path)
    if not test:
        raise UserError(f"{name}: no picture is for testing; lay the folder out as {LAYOUT}.")
    x, y = pixels(name, [file for file, _ in (*train, *test)]), [c for _, c in (*train, *test)]
    n = len(train)
    dataset = from_arrays(x[:n], y[:n], x[n:], y[n:], classes=classes, name=name)
    return replace(dataset, notes=(f"your own pictures from {path.resolve()}", *notes, *dataset.notes))


Listed = list[tuple[Path, int]]  # the pictures of a part, each with its class


def listed(name: str, path: Path) -> tuple[list[str], Listed, Listed, list[str]]:
    """(class names, training pictures, test pictures, notes) of a folder, by its names alone.

    Raises: UserError for a folder without classes, a class without pictures, and a test class that is not trained.
    """
    split = [(path / part).is_dir() for part in ("train", "test")]
    if any(split) and not all(split):
        raise UserError(f"{name} has {'train' if split[0] else 'test'}/ only; lay it out as {LAYOUT}.")
    root = path / "train" if all(split) else path
    classes = folders(root)
    if not classes:
        raise UserError(f"{name}: {root} has no folders, one for each class; lay it out as {LAYOUT}.")
    pictures = [files(root / c) for c in classes]
    for c, of_class in zip(classes, pictures, strict=True):
        if not of_class:
            raise UserError(f"{name}: {root / c} holds no picture ({', '.join(SUFFIXES)}); add some, or delete it.")
    train = [(file, c) for c, of_class in enumerate(pictures) for file in of_class]
    if not all(split):
        tested = {file for c, of_class in enumerate(pictures) for file in for_testing(of_class, c)}
        note = f"one picture in {TESTED} of each class is for testing (seed {SPLIT_SEED}): there is no test folder"
        return classes, [p for p in train if p[0] not in tested], [p for p in train if p[0] in tested], [note]
    test: Listed = []
    for c in folders(path / "test"):
        if c not in classes:
            raise UserError(f"{name}: {path / 'test' / c} is of a class that {root} lacks{nearest(c, classes)}")
        test += [(file, classes.index(c)) for file in files(path / "test" / c)]
    return classes, train, test, []


def folders(path: Path) -> list[str]:
    """The folders in a folder, sorted by name; hidden ones are passed over."""
    return sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def files(path: Path) -> list[Path]:
    """The pictures in a folder, sorted by name; hidden and other files are passed over."""
    return sorted(
        entry
        for entry in path.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()
    )


def for_testing(of_class: Sequence[Path], c: int) -> list[Path]:
    """One in `TESTED` of a class's pictures, of two or more at least one, drawn from a stream that the class names."""
    count = max(len(of_class) // TESTED, min(1, len(of_class) - 1))
    return [of_class[i] for i in stream(SPLIT_SEED, "pictures for testing", c).permutation(len(of_class))[:count]]


def pixels(name: str, paths: Sequence[Path]) -> np.ndarray:
    """The pictures as uint8 (N, H, W, C), C = 1 where all of them are grey, else 3.

    Raises: UserError for one that cannot be read, and where two differ in size.
    """
    from tqdm import tqdm

    x = np.empty(0, np.uint8)
    grey = True
    for n, path in enumerate(tqdm(paths, desc="pictures", disable=None, leave=False)):  # on a terminal only
        picture = opened(name, path)
        grey = grey and picture.ndim == 2
        if not n:
            x = np.empty((len(paths), *picture.shape[:2], 3), np.uint8)
        if picture.shape[:2] != x.shape[1:3]:
            H, W, P, Q = *picture.shape[:2], *x.shape[1:3]
            raise UserError(
                f"{name}: {path} is {W}×{H} pixels and {paths[0]} is {Q}×{P} (width by height); all pictures must have "
                "one size: resize them."
            )
        x[n] = picture[..., None] if picture.ndim == 2 else picture
    return x[..., :1] if grey else x


def _check_pixels(nbytes: int, W: int, H: int) -> None:
    """Check that a picture has not many times more pixels than bytes: a small file could take all memory.

    Raises: ValueError.
    """
    if FREE + TIMES * nbytes < W * H:
        raise ValueError(f"{W}×{H} pixels in {nbytes} bytes, more than a picture compresses to: resize it")


def opened(name: str, path: Path) -> np.ndarray:
    """One picture, turned as its camera says: uint8 (H, W) where it is grey, else (H, W, 3).

    Raises: UserError where it is damaged, no PNG or JPEG, transparent, or of more than 8 bits.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = io.BytesIO(path.read_bytes())  # of a file, Pillow takes the memory that a chunk's length states
            with Image.open(content, formats=("PNG", "JPEG")) as file:
                _check_pixels(len(content.getvalue()), *file.size)
                picture: Any = ImageOps.exif_transpose(file)
                picture.load()
    except Exception as error:  # a damaged picture can raise any error
        raise UserError(f"{name}: {path} cannot be read as a PNG or JPEG picture ({reason(error)}).") from None
    if picture.mode in TRANSPARENT:
        colours = np.asarray(picture.convert("RGBA"))
        if colours[..., 3].min() < 255:
            raise UserError(f"{name}: {path} is transparent in places; paint it on a background first.")
        return colours[..., 0] if picture.mode == "LA" else colours[..., :3]
    if picture.mode not in (*GREY, *COLOUR):
        raise UserError(f"{name}: {path} has pixels of mode {picture.mode}; save it with 8 bits a channel.")
    return np.asarray(picture.convert("L" if picture.mode in GREY else "RGB"))
