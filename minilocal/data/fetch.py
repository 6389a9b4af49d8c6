"""Fetch a file from the first source that has the right one: resume a broken download, check it, put it in place.

Bytes go to `NAME.part` beside the file. They are kept when a connection breaks or the user stops, and the next attempt
requests the rest (HTTP Range) from any source; the checksum shows whether the parts fit. Only a file that passes its
check is renamed to its name. Where no checksum is known nothing is resumed, and only the length is checked.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from minilocal.data.container import has_sum
from minilocal.data.download import ConnectionLost, RangeRefused, SourceError, download
from minilocal.errors import UserError

ATTEMPTS = 3  # per source; only an attempt that received bytes is followed by another


def fetch(name: str, sources: Sequence[str | Path], folder: Path, checksum: str | None, length: int | None) -> Path:
    """The path `folder`/`name`, fetched from the first of `sources` that has it: addresses, and paths of files here.

    checksum   "sha256:hex", or None where it is not known
    length     in bytes, or None

    Raises: UserError, one line with every source and its error, when no source has the file; and when it cannot be
    written.
    """
    final, part = folder / name, folder / f"{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _own(part) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # so two runs that start together fetch once
            if final.is_file():
                part.unlink(missing_ok=True)
                return final
            faults = []
            for source in sources:
                try:
                    if isinstance(source, Path):
                        _from_file(source, part, checksum, length)
                    else:
                        _from_source(source, part, checksum, length)
                except SourceError as fault:
                    faults.append(f"{source}: {fault}")
                    continue
                _put_in_place(part, final)
                return final
            kept = part.stat().st_size if part.exists() else 0
            if not kept:
                part.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{name} cannot be written to {folder}: {error.strerror or error}.") from None
    again = f" {kept} bytes are kept: the same command goes on from there." if kept and checksum else ""
    raise UserError(
        f"{name} could not be fetched. {'; '.join(faults) or 'No source is known'}.{again} "
        f"Or put the file into {folder} yourself."
    )


def _own(part: Path) -> IO[bytes]:
    """The file of the received bytes, open; where another kind of thing has its name, it is not touched.

    Raises: OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = open(os.open(part, flags, 0o666), "r+b", buffering=0)  # noqa: SIM115  (its reader closes it)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EEXIST, f"{part.name} there is a device or a pipe")
    return file


def _from_source(url: str, part: Path, checksum: str | None, length: int | None) -> None:
    """Fill `part` from one source, requesting the rest as long as each attempt receives bytes."""
    attempts = ATTEMPTS
    while True:
        if checksum is None:
            part.write_bytes(b"")
        before = part.stat().st_size
        attempts -= 1
        try:
            download(url, part, length)
        except RangeRefused:
            part.write_bytes(b"")
            continue
        except ConnectionLost:
            if checksum is None or attempts <= 0 or part.stat().st_size == before:
                raise
            continue
        if checksum is None or has_sum(part, checksum):
            return
        part.write_bytes(b"")
        if not before:  # these bytes all came from this source
            raise SourceError(f"{_other_checksum(checksum)}; dropped")


def _from_file(source: Path, part: Path, checksum: str | None, length: int | None) -> None:
    """Copy a file of this machine to `part`."""
    try:
        if not source.is_file():
            raise SourceError("there is no such file")
        nbytes = source.stat().st_size
        if length is not None and nbytes != length:
            raise SourceError(f"it has {nbytes} bytes, the official one {length}")
        if checksum is not None and not has_sum(source, checksum):
            raise SourceError(_other_checksum(checksum))
        file = source.open("rb")
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror or error}") from None
    with file, part.open("wb") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())


def _other_checksum(checksum: str) -> str:
    return f"its file has another checksum than {checksum.partition(':')[2][:12]}..."


def _put_in_place(part: Path, final: Path) -> None:
    os.replace(part, final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # without it a power cut may undo the rename
    finally:
        os.close(folder)
