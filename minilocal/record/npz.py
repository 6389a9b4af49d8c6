"""Archives of arrays, opened with a bound on what they unpack to."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile

FREE = 64 << 20  # bytes beyond the file's own: weights barely compress


@contextmanager
def opened_npz(path: Path) -> Iterator[NpzFile]:
    """The arrays of an .npz file, without pickles. An entry's length is stated in the archive, and no more is read.

    Raises: BadZipFile for anything else, and where it states more than the file's own bytes and 64 MB; what zipfile,
    zlib and NumPy raise for a damaged one, also later, when an array is read.
    """
    if not zipfile.is_zipfile(path):  # NumPy would report anything else as a pickle
        raise zipfile.BadZipFile("it is cut short, or was never an .npz")
    with zipfile.ZipFile(path) as archive:
        stated = sum(entry.file_size for entry in archive.infolist())
    if stated > path.stat().st_size + FREE:
        raise zipfile.BadZipFile(f"it unpacks to {stated:,} bytes, more than weights can be compressed")
    with np.load(path, allow_pickle=False) as arrays:
        yield arrays
