"""The arrays of an .npz archive, each read only after its header has been compared with the length of its entry.

NumPy takes the memory that a header states before it reads a number: 100 bytes may ask for a terabyte.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

HEADERS: Mapping[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def member(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """One array of the archive, whole, so that its checksum has been compared.

    Raises: ValueError for Python objects and for a header that states other bytes than there are; what zipfile, zlib,
    lzma and NumPy raise for a damaged archive.
    """
    entry = archive.getinfo(f"{key}.npy")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # lzma's tables may take gigabytes
        raise ValueError(f"{key} is of compression method {entry.compress_type}, which NumPy does not write")
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{key} has a header of version {version[0]}.{version[1]}, as no array of plain numbers")
        shape, _, dtype = HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError(f"{key} holds Python objects: pickled ones are not read")
        stated, present = prod(shape) * dtype.itemsize, entry.file_size - file.tell()
        if stated != present or min(shape, default=0) < 0:
            raise ValueError(f"{key} has {present} bytes, and its header states {stated}, {dtype} {shape}")
        file.seek(0)
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # at the end: only here does zipfile compare the checksum of an empty array
        return array


class Arrays(Mapping[str, np.ndarray]):
    """The arrays of an open archive by name. Other files in it are passed over."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        self.files = list(dict.fromkeys(names))

    def __getitem__(self, key: str) -> np.ndarray:
        if key not in self.files:
            raise KeyError(f"it has no {key!r}")
        return member(self.archive, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)
