"""Where a new run goes: a folder that holds nothing else, made so that a power cut does not lose its name."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from minilocal.errors import UserError, check_utf8
from minilocal.record.files import os_errors_explained, sync_folder
from minilocal.record.read import CONFIG, ENVIRONMENT, LOCK, MARKS, METRICS, saved_nothing


def check_free(path: str | Path) -> None:
    """Check that a new run may be created at `path`.

    Raises: UserError for a name that is empty or not UTF-8, and where `path` holds a run that has saved something, or
    anything else.
    """
    if not str(path):
        raise UserError("--out is empty: give the run's folder a name, or leave --out out.")
    path = Path(path)
    check_utf8("--out", str(path))
    with os_errors_explained(path):
        if not path.exists():
            return
        entries = [entry.name for entry in path.iterdir() if not MARKS.fullmatch(entry.name)]
    names = {name for name in entries if not name.endswith(".partial")} - {LOCK, ENVIRONMENT}
    if CONFIG in names and not saved_nothing(path):
        raise UserError(f"{path} holds a run already: go on with --resume {path}, or choose another --out.")
    if others := names - ({CONFIG, METRICS} if CONFIG in names else set()):
        raise UserError(f"{path} is no run and not empty ({min(others)} is there): choose another --out.")


def beside(path: str | Path) -> Path:
    """The first of PATH, PATH-2, PATH-3, ... that does not exist."""
    path = first = Path(path)
    number = 1
    while os.path.lexists(path):
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def make_folders(path: Path) -> list[Path]:
    """Create the folder; return the folders that did not exist before, innermost first.

    The folder above each is synced: what is synced in a folder is lost in a power cut with the folder's own name. One
    that is there may have been made a moment ago, by a queue's claim, so its name is synced too.

    Raises: UserError where it cannot be created; then none of them is there.
    """
    with os_errors_explained(path):
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        try:
            path.mkdir(parents=True, exist_ok=True)
            for folder in new or [path]:
                with suppress(PermissionError):  # one may make folders where one may not read
                    sync_folder(folder.parent)
        except BaseException:
            remove_empty(new)
            raise
    return new


def remove_empty(folders: list[Path]) -> None:
    """Remove those of these folders, innermost first, that are there and empty."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
