"""MNIST and Fashion-MNIST: idx files, compressed by gzip or not.

An idx file begins with two zero bytes, the type of its numbers (8: bytes) and the number of its dimensions; then come
the dimensions, four bytes each, the largest byte first; then the numbers, row by row.
"""

from __future__ import annotations

import gzip
import io
import zlib
from math import prod
from pathlib import Path

import numpy as np

from minilocal.data.container import contents
from minilocal.data.layout import Contents, Layout, Official
from minilocal.errors import UserError, reason

SIDE = 28
BYTES = 8  # the type of numbers in all of these files
SLACK = 1 << 12  # bytes by which gzip may lengthen a file that it cannot compress, at least


def read(official: Official, layout: Layout, path: Path) -> Contents:
    """The contents of a copy: images uint8 (N, 28, 28, 1), labels int64 (N,).

    Raises: UserError for a copy that is incomplete or damaged.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for (images, labels), n in ((layout.train, official.train_images), (layout.test, official.test_images)):
        shapes |= {images: (n, SIDE, SIDE), labels: (n,)}
    limits = {name: length(shape) + length(shape) // 1000 + SLACK for name, shape in shapes.items()}
    packed = contents(path, limits, layout.files)
    arrays = {name: array(packed[name], shape, f"{path}/{name}") for name, shape in shapes.items()}
    x = np.concatenate([arrays[layout.train[0]], arrays[layout.test[0]]])[..., None]
    y = np.concatenate([arrays[layout.train[1]], arrays[layout.test[1]]]).astype(np.int64)
    return Contents(x, y, official.names)


def length(shape: tuple[int, ...]) -> int:
    """The length in bytes of an idx file of bytes of this shape."""
    return 4 + 4 * len(shape) + prod(shape)


def array(content: bytes, shape: tuple[int, ...], where: str) -> np.ndarray:
    """The array, uint8 of this shape, in an idx file.

    Raises: UserError where the file holds another type or shape, or another number of bytes than its header says.
    """
    if where.endswith(".gz"):
        content = unpacked(content, length(shape), where)
    magic, expected = content[:4], bytes([0, 0, BYTES, len(shape)])
    if magic != expected:
        raise UserError(
            f"{where} begins with {magic.hex(' ') or 'nothing'}, not {expected.hex(' ')}: it is no idx file of bytes "
            f"in {len(shape)} dimension{'s' if len(shape) > 1 else ''}; delete it and fetch it again."
        )
    start = 4 + 4 * len(shape)
    stated = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if stated != shape:
        wrong, right = ("×".join(map(str, numbers)) for numbers in (stated, shape))
        raise UserError(f"{where} states {wrong} numbers, not {right}: damaged or another data set.")
    if (rest := len(content) - length(shape)) != 0:
        wrong = f"more than {length(shape)} bytes" if rest > 0 else f"{len(content)} bytes, not {length(shape)}"
        raise UserError(f"{where} has {wrong}: it is cut short or another file; delete it and fetch it again.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def unpacked(content: bytes, limit: int, where: str) -> bytes:
    """The content of a gzip file, its first limit + 1 bytes at most; of a shorter one gzip's checksum is compared.

    Raises: UserError where it is damaged.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            return file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{where} is damaged or cut short ({reason(error)}); delete it and fetch it again.") from None
