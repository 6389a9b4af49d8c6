"""CIFAR-10 and CIFAR-100, from the official binary or Python archive, packed or unpacked.

A binary file has one record per image: its label (CIFAR-100: the coarse one, then the fine one), then 1024 red, 1024
green and 1024 blue bytes, row by row. A Python file is a pickled dict with the same bytes, (N, 3072), and lists of
labels.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minilocal.data import unpickle
from minilocal.data.container import files, incomplete
from minilocal.data.layout import Cifar, Contents, Layout
from minilocal.errors import UserError

SIDE = 32
PIXELS = 3 * SIDE * SIDE
NAMES_LIMIT = 1 << 16  # bytes of the small file with the class names


def read(cifar: Cifar, layout: Layout, path: Path) -> Contents:
    """The contents of a copy: images uint8 (N, 32, 32, 3), labels int64 (N,).

    Raises: UserError for a copy that is incomplete or damaged.
    """
    assert layout.class_names is not None
    x = np.empty((cifar.train_images + cifar.test_images, SIDE, SIDE, 3), np.uint8)
    y = np.empty(len(x), np.int64)
    rows = rows_by_file(cifar, layout)
    limits = {name: longest(cifar, layout, part.stop - part.start) for name, part in rows.items()}
    classes: tuple[str, ...] | None = None
    missing = set(rows)
    for name, content in files(path, {**limits, layout.class_names: NAMES_LIMIT}):
        where = f"{path}/{name}"
        if name == layout.class_names:
            classes = class_names(cifar, layout, content, where)
            continue
        decode = from_pickle if layout.pickled else from_records
        pixels, labels = decode(cifar, content, rows[name].stop - rows[name].start, where)
        x[rows[name]] = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
        y[rows[name]] = labels
        missing.remove(name)
    if missing:
        raise incomplete(path, missing)
    if classes is None:
        numbers = tuple(str(c) for c in range(cifar.classes))
        return Contents(x, y, numbers, (f"no {layout.class_names} beside the images: classes are numbered",))
    return Contents(x, y, classes)


def rows_by_file(cifar: Cifar, layout: Layout) -> dict[str, slice]:
    """The rows of the whole data set that each file holds."""
    rows, first = {}, 0
    for names, images in ((layout.train, cifar.train_images), (layout.test, cifar.test_images)):
        for name in names:
            rows[name] = slice(first, first + images // len(names))
            first = rows[name].stop
    return rows


def longest(cifar: Cifar, layout: Layout, images: int) -> int:
    """The largest possible length of a file of this number of images, in bytes.

    Exact for records. A pickle holds file names too, and Python 3 writes half of its bytes as two.
    """
    return images * (2 * PIXELS + 1000) + NAMES_LIMIT if layout.pickled else images * (len(cifar.labels) + PIXELS)


def from_records(cifar: Cifar, content: bytes, images: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(pixels uint8 (images, 3072), labels) of a binary file."""
    before = len(cifar.labels)
    if len(content) != images * (before + PIXELS):
        raise UserError(
            f"{where} has {len(content)} bytes, not {images} records of {before + PIXELS}: "
            "it is cut short or another file; delete it and fetch it again."
        )
    records = np.frombuffer(content, np.uint8).reshape(images, before + PIXELS)
    return records[:, before:], records[:, before - 1]


def from_pickle(cifar: Cifar, content: bytes, images: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """(pixels uint8 (images, 3072), labels) of a Python file."""
    batch = unpickle.load(content, where)
    pixels, labels = batch.get("data"), batch.get(cifar.labels[-1])
    if not isinstance(pixels, np.ndarray) or pixels.shape != (images, PIXELS):
        what = getattr(pixels, "shape", type(pixels).__name__)
        raise UserError(f"{where} has {what} for 'data', not {images} × {PIXELS} bytes: this is not {cifar.name}.")
    if not isinstance(labels, list) or len(labels) != images or not all(type(label) is int for label in labels):
        raise UserError(f"{where} has no list of {images} integers {cifar.labels[-1]!r}: this is not {cifar.name}.")
    if not 0 <= min(labels) <= max(labels) < cifar.classes:
        raise UserError(
            f"{where} has labels from {min(labels)} to {max(labels)}, not 0 to {cifar.classes - 1}: damaged."
        )
    return pixels, np.array(labels, np.int64)


def class_names(cifar: Cifar, layout: Layout, content: bytes, where: str) -> tuple[str, ...]:
    """The name of each class, from the text file or the pickled one."""
    if layout.pickled:
        listed = unpickle.load(content, where).get(cifar.names_key)
        raw = listed if isinstance(listed, list) else []
        names = [n.decode("utf-8", "replace") if isinstance(n, bytes) else str(n) for n in raw]
    else:
        names = content.decode("utf-8", "replace").split()
    if len(names) != cifar.classes:
        raise UserError(f"{where} lists {len(names)} class names, not {cifar.classes}: this is not {cifar.name}.")
    return tuple(names)
