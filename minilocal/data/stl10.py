"""STL-10, labelled part, from the official binary archive, packed or unpacked.

An image file is a row of images of 3×96×96 bytes: a red, a green and a blue plane, each column by column. A label file
has one byte an image, 1 to 10.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minilocal.data.container import contents
from minilocal.data.layout import Contents, Layout, Official
from minilocal.errors import UserError

SIDE = 96
PIXELS = 3 * SIDE * SIDE
NAMES_LIMIT = 1 << 16  # bytes of the small file with the class names


def read(official: Official, layout: Layout, path: Path) -> Contents:
    """The contents of a copy: images uint8 (N, 96, 96, 3), labels int64 (N,), 0 to 9.

    Raises: UserError for a copy that is incomplete or damaged.
    """
    assert layout.class_names is not None
    lengths: dict[str, int] = {}
    for (images, labels), n in ((layout.train, official.train_images), (layout.test, official.test_images)):
        lengths |= {images: n * PIXELS, labels: n}
    packed = contents(path, {**lengths, layout.class_names: NAMES_LIMIT}, layout.files)
    for name, length in lengths.items():
        if len(packed[name]) != length:
            raise UserError(
                f"{path}/{name} has {len(packed[name])} bytes, not {length}: it is cut short or another file; delete "
                "it and fetch it again."
            )
    x = np.concatenate([pictures(packed[images]) for images, _ in (layout.train, layout.test)])
    y = np.concatenate(
        [classes(packed[labels], official, f"{path}/{labels}") for _, labels in (layout.train, layout.test)]
    )
    if layout.class_names not in packed:
        numbers = tuple(str(c) for c in range(official.classes))
        return Contents(x, y, numbers, (f"no {layout.class_names} beside the images: classes are numbered",))
    names = tuple(packed[layout.class_names].decode("utf-8", "replace").split())
    if len(names) != official.classes:
        raise UserError(
            f"{path}/{layout.class_names} lists {len(names)} class names, not {official.classes}: this is not "
            f"{official.name}."
        )
    return Contents(x, y, names)


def pictures(content: bytes) -> np.ndarray:
    """Images stored plane by plane, column by column.        →  uint8 (N, 96, 96, 3)"""
    planes = np.frombuffer(content, np.uint8).reshape(-1, 3, SIDE, SIDE)  # (N, C, W, H)
    return np.ascontiguousarray(planes.transpose(0, 3, 2, 1))


def classes(content: bytes, official: Official, where: str) -> np.ndarray:
    """Labels 1 to 10 as classes 0 to 9, int64 (N,)."""
    y = np.frombuffer(content, np.uint8).astype(np.int64)
    if y.min() < 1 or y.max() > official.classes:
        raise UserError(f"{where} has labels from {y.min()} to {y.max()}, not 1 to {official.classes}: damaged.")
    return y - 1
