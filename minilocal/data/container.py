"""Named files, read one after the other from a folder or from a tar archive that is never unpacked."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from minilocal.errors import UserError

CHUNK = 1 << 20


def files(path: Path, limits: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file in `limits`, in the order in which they lie there.

    path     a folder, or a tar archive (compressed or not), of which only the members' last names matter
    limits   name → the most bytes that it may have

    The checksum of a compressed archive stands behind its last file: what came before may be used when the last
    one has been taken.

    Raises: UserError for a file that is longer, for a damaged archive, and for one that cannot be opened.
    """
    try:
        yield from _folder(path, limits) if path.is_dir() else _archive(path, limits)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path} is damaged or cut short ({reason}); delete it and fetch it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def _folder(path: Path, limits: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    for name in limits:
        file = path / name
        if file.is_file():
            _check_length(file, file.stat().st_size, limits[name])
            yield name, file.read_bytes()


def _archive(path: Path, limits: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    seen = set()
    with tarfile.open(path, "r:*") as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            if name not in limits or not member.isreg():
                continue
            if name in seen:
                raise UserError(f"{path} holds {name} twice; delete it and fetch it again.")
            seen.add(name)
            _check_length(path / name, member.size, limits[name])
            content = archive.extractfile(member)
            assert content is not None  # a regular file always has a content
            yield name, content.read()
        assert archive.fileobj is not None  # it is open
        while archive.fileobj.read(CHUNK):  # tar ends before gzip does: only at the end is the checksum compared
            pass


def _check_length(where: Path, length: int, limit: int) -> None:
    if length > limit:
        raise UserError(f"{where} has {length} bytes, but it may have {limit} at most: this is not the official file.")


def has_sum(path: Path, expected: str) -> bool:
    """Whether the file at `path` has the checksum "algorithm:hex"."""
    algorithm, _, digest = expected.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest() == digest
