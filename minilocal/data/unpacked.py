"""The unpacked bytes of an archive as a stream with two bounds, so that a small file cannot take much memory or time.

tarfile reads the extended headers of a member (long names, PAX records) whole, whatever length they state, and passes
over any number of bytes on its way to the next one. Images barely compress, so an archive that unpacks to many times
its own bytes is none of images.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from minilocal.errors import UserError

HEADERS = 1 << 20  # bytes of headers before a member: official ones have 512
TIMES, FREE = 100, 1 << 24  # unpacked bytes: this many times the archive's own, and 16 MB more

XZ = b"\xfd7zXZ\x00"
OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, XZ: lzma.open}


def most_of(path: Path) -> int:
    """The bytes that this file may unpack to."""
    return FREE + TIMES * path.stat().st_size


class Unpacked:
    """A seekable stream for `tarfile.open(fileobj=..., mode="r:")`.

    Raises: UserError for headers of more than `HEADERS` bytes, and for a read or a seek past the bound of all bytes.
    """

    def __init__(self, path: Path, stream: IO[bytes], most: int) -> None:
        self.path, self.stream, self.most, self.headers = path, stream, most, HEADERS

    def of_next_member(self) -> None:
        """Allow `HEADERS` bytes again: what is read next are another member's headers."""
        self.headers = HEADERS

    def content(self, file: IO[bytes]) -> bytes:
        """The content of a member, whose length has been checked."""
        before, self.headers = self.headers, self.most
        content = file.read()
        self.headers = before
        return content

    def read(self, size: int) -> bytes:
        self.headers -= size
        if self.headers < 0:
            raise UserError(f"{self.path} has headers of more than {HEADERS} bytes: this is not the official file.")
        self._check(self.stream.tell() + size)
        return self.stream.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self.stream.seek(position)

    def tell(self) -> int:
        return self.stream.tell()

    def to_end(self) -> None:
        """Read what is left: only at the end does gzip compare its checksum."""
        while self.stream.read(HEADERS):
            self._check(self.stream.tell())

    def _check(self, position: int) -> None:
        if position > self.most:
            raise _too_much(self.path)


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """The stream of an archive, compressed by gzip, bzip2 or xz, or not."""
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start.startswith(XZ):
            _check_tables(path, file)
            file.seek(0)
        opener: Any = next((opener for magic, opener in OPENERS.items() if start.startswith(magic)), None)
        stream = opener(file) if opener else file
        try:
            yield Unpacked(path, stream, most_of(path))
        finally:
            stream.close()


def _check_tables(path: Path, file: IO[bytes]) -> None:
    """Check that no block of an xz takes gigabytes for its tables, whose size it states; xz -9 takes 64 MB.

    The file is unpacked, and nothing of it is kept. What is damaged is left to its reader.

    Raises: UserError for such a block, and where the file unpacks to too much.
    """
    unpacker, size, most = _with_small_tables(), 0, most_of(path)
    while size <= most:
        if unpacker.eof:  # another stream may follow
            data, unpacker = unpacker.unused_data or file.read(HEADERS), _with_small_tables()
        else:
            data = file.read(HEADERS) if unpacker.needs_input else b""
        if unpacker.needs_input and not data:
            return
        try:
            size += len(unpacker.decompress(data, HEADERS))
        except lzma.LZMAError as error:
            if "Memory" in str(error):
                raise UserError(f"{path} needs much memory to be unpacked: this is not the official file.") from None
            return
    raise _too_much(path)


def _with_small_tables() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=FREE * 4 + HEADERS * 4)


def _too_much(path: Path) -> UserError:
    return UserError(f"{path} unpacks to more than {TIMES} times its size: this is not the official file.")
