"""Where results go, looked at before the work: an hour of measuring must not fail at its end."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from minilocal.errors import UserError, check_file
from minilocal.record.files import os_errors_explained

Kind = Literal["file", "folder", "either"]
LONGEST = 255  # bytes of a file's name


def check_output(
    path: str | Path, kind: Kind = "file", flag: str = "--out", *, makes_folder: bool = False, names: Sequence[str] = ()
) -> None:
    """Check that a file, or a folder of files, can be written at `path`. Nothing is left there, or changed.

    A folder is made where it is missing, with those above it; that of a file with `makes_folder` only. `names` are
    files that the folder will get.

    Raises: UserError that names the flag.
    """
    if not str(path).strip():
        raise UserError(f"{flag} is empty: give it a name, or leave it out.")
    if any(len(os.fsencode(part)) > LONGEST for part in str(path).split(os.sep)):
        raise UserError(f"{flag} {str(path)[:40]!r}... has a name of more than {LONGEST} bytes: choose a shorter one.")
    with os_errors_explained(f"{flag} {path}"):
        top = Path(os.path.abspath(path))
        for name in names if top.is_dir() else ():
            _check_file(top / name, f"{flag} {path}: {name}")
        is_folder = kind == "folder" or (kind == "either" and top.is_dir())
        if not is_folder:
            _check_file(top, f"{flag} {path}")
            top = top.parent
        place = next(folder for folder in (top, *top.parents) if os.path.lexists(folder))
        if not place.is_dir():
            raise UserError(f"{flag} {path}: {place} is a file, not a folder: choose another place.")
        if place != top and not (is_folder or makes_folder):
            raise UserError(f"{flag} {path}: there is no folder {Path(path).parent}; create it first.")
        tempfile.TemporaryFile(dir=place).close()


def _check_file(path: Path, name: str) -> None:
    """Check that what is at `path`, if anything, is a file, so that another one may take its place.

    Raises: UserError; OSError for a link to itself.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if stat.S_ISDIR(mode):
        raise UserError(f"{name} is a folder: give the name of a file.")
    check_file(path)
