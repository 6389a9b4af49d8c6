"""Archives of arrays, opened with a bound on what they unpack to."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minilocal.data.member import Arrays
from minilocal.errors import UserError, reason

FREE = 64 << 20  # bytes beyond the file's own: weights barely compress


class BadArchive(ValueError):
    """An .npz that cannot be read. Its text says why, in one line."""


@contextmanager
def opened_npz(path: Path) -> Iterator[Arrays]:
    """The arrays of an .npz file, without pickles. An entry's length is stated in the archive, and no more is read.

    Raises: BadArchive for anything else, where it states more than the file's own bytes and 64 MB, and in place of
    whatever zipfile, zlib, lzma, NumPy or the block raise, also later, when an array is read.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it is cut short, or was never an .npz")
        with zipfile.ZipFile(path) as archive:
            stated = sum(entry.file_size for entry in archive.infolist())
            if stated > path.stat().st_size + FREE:
                raise zipfile.BadZipFile(f"it unpacks to {stated:,} bytes, more than weights can be compressed")
            yield Arrays(archive)
    except UserError:
        raise
    except Exception as error:  # a damaged archive makes its readers raise any
        raise BadArchive(reason(error)) from error
