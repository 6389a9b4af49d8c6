"""Named files, read one by one from a folder or from a tar archive, which is not unpacked."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, cast

from minilocal.data.unpacked import unpacked
from minilocal.errors import UserError, reason

MEMBERS = 1 << 12  # of an archive: official ones have a dozen at most


def files(path: Path, limits: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file in `limits`, in the order of the folder or archive.

    path     a folder, or a tar archive (compressed or not), whose members are known by their last names
    limits   name → its largest possible length in bytes

    A compressed archive has its checksum behind its last file. Use the contents only after the iterator has ended.

    Raises: UserError for a longer file, for a damaged archive, and for one that cannot be opened.
    """
    try:
        yield from _folder(path, limits) if path.is_dir() else _archive(path, limits)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise UserError(f"{path} is damaged or cut short ({reason(error)}); delete it and fetch it again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None


def contents(path: Path, limits: Mapping[str, int], needed: Iterable[str]) -> dict[str, bytes]:
    """{name: content} of the files in `limits` that are there.

    Raises: UserError as `files`, and where one of `needed` is missing.
    """
    read = dict(files(path, limits))
    if missing := set(needed) - set(read):
        raise incomplete(path, missing)
    return read


def incomplete(path: Path, missing: Iterable[str]) -> UserError:
    """The error for a copy without these files."""
    names = ", ".join(sorted(missing))
    return UserError(f"{path} is incomplete, without {names}: complete it, or delete it and fetch it again.")


def _folder(path: Path, limits: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    for name in limits:
        file = path / name
        if file.is_file():
            _check_length(file, file.stat().st_size, limits[name])
            yield name, file.read_bytes()


def _archive(path: Path, limits: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    seen = set()
    with unpacked(path) as stream, tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as archive:
        for number, member in enumerate(archive):
            if number == MEMBERS:
                raise UserError(f"{path} has more than {MEMBERS} members: this is not the official file.")
            stream.of_next_member()
            name = PurePosixPath(member.name).name
            _check_inside(path, member.name)
            if name not in limits or not member.isreg():
                continue
            if name in seen:
                raise UserError(f"{path} holds {name} twice; delete it and fetch it again.")
            seen.add(name)
            _check_length(path / name, member.size, limits[name])
            content = archive.extractfile(member)
            assert content is not None  # a regular file always has a content
            yield name, stream.content(content)
        stream.to_end()  # tar ends before gzip does: only at the end is the checksum compared


def _check_inside(path: Path, member: str) -> None:
    """Check that a member would be unpacked below the archive's folder; no official archive has another."""
    if member.startswith("/") or ".." in PurePosixPath(member).parts:
        raise UserError(f"{path} holds {member!r}, a path outside its folder: this is not the official file.")


def _check_length(where: Path, length: int, limit: int) -> None:
    if length > limit:
        raise UserError(f"{where} has {length} bytes, but it may have {limit} at most: this is not the official file.")


def has_sum(path: Path, expected: str) -> bool:
    """Whether the file at `path` has the checksum "algorithm:hex"."""
    algorithm, _, digest = expected.partition(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest() == digest
