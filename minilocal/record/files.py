"""Atomic writes, and errors of the operating system in one line with a remedy."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from minilocal.errors import UserError, check_file, path_of, reason

_REMEDIES = {
    errno.ENOSPC: "Free some space, then go on: what was there before is intact.",
    errno.EDQUOT: "Your quota is used up: free some space, then go on: what was there before is intact.",
    errno.EACCES: "You may not write there: choose another folder with --out, or change its permissions.",
    errno.EPERM: "You may not write there: choose another folder with --out, or change its permissions.",
    errno.EROFS: "That file system is read-only: choose another folder with --out.",
    errno.ENOTDIR: "A part of that path is a file: choose another folder with --out.",
    errno.EISDIR: "Give the name of a file.",
    errno.ENOENT: "Give a name in a folder that is there.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
    errno.ELOOP: "A symbolic link is in the way: choose another folder with --out.",
    errno.EEXIST: "A file of that name is in the way: choose another folder with --out.",
}


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` when the block succeeds, and is removed when it fails.

    Raises: UserError with the reason where it cannot be written (no space, no permission, ...), and for a device
    or a pipe, which no file may take the place of.
    """
    path = path_of("path", path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with os_errors_explained(path):
        check_file(path)
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def os_errors_explained(path: str | Path) -> Iterator[None]:
    """Turn an OSError inside the block, and a null character in a path, into a UserError with a remedy.

    Raises: UserError.
    """
    try:
        yield
    except UserError:  # it is a ValueError too, and its words may name a file called null
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, "")
        raise UserError(f"{path}: {error.strerror or error}. {remedy}".strip()) from None
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise UserError(f"{str(path)!r} has a null character, which no path may have: choose another.") from None


def has_entry(path: str | Path, name: str) -> bool:
    """Whether `path` is an .npz with an array of this name. A device or a pipe is not opened: it might not end."""
    try:
        if not os.path.isfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            return f"{name}.npy" in archive.namelist()
    except Exception:  # whatever a damaged archive makes its reader raise
        return False


def sync_folder(folder: Path) -> None:
    """Sync `folder`, so that names made and changed in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises: UserError where it cannot be read, or holds anything else.
    """
    check_file(file)
    with os_errors_explained(file):
        text = file.read_bytes()
    try:
        content = parsed(text)
        if not isinstance(content, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        raise UserError(f"{file} is damaged: {reason(error)}.") from None
    return content


def read_text(file: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Raises: UserError where it cannot be read, or is no text.
    """
    check_file(file)
    with os_errors_explained(file):
        content = file.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is no text in UTF-8 ({reason(error)}).") from None


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises: ValueError for any other text, and for one that is nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
