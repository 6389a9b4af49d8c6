"""Run folders among other folders: by path, by pattern, and below a folder of folders."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from minilocal.errors import UserError
from minilocal.record.exported import check_no_export
from minilocal.record.read import CONFIG


def run_folders(paths: Iterable[str | Path]) -> list[Path]:
    """The run folders at or below `paths`, each once; numbers in their names are in numerical order.

    A path may be a pattern, as "runs/*-seed?". A run folder is not searched for others, and a link is not followed
    below a path.

    Raises: UserError for a path without a folder, and a folder that cannot be read.
    """
    if isinstance(paths, str) or not isinstance(paths, Iterable):
        raise UserError(f"paths = {paths!r}: give a list of run folders, as ['runs/mine'].")
    folders: dict[Path, Path] = {}
    for path in paths:
        for top in _folders(str(path)):
            for folder in _below(top):
                folders.setdefault(folder.resolve(), folder)
    return sorted(folders.values(), key=_by_number)


def _folders(path: str) -> list[Path]:
    """The folders that a path or a pattern names."""
    path = os.path.expanduser(path)
    names = [path] if os.path.lexists(path) else glob.glob(path)
    folders = [Path(name) for name in names if os.path.isdir(name)]
    if folders:
        return folders
    if names:
        check_no_export(names[0])
        raise UserError(f"{names[0]} is a file: give run folders, or a folder of run folders.")
    raise UserError(f"{path}: there is no such folder, and none fits it as a pattern. Give run folders.")


def _below(top: Path) -> Iterator[Path]:
    """The run folders at or below `top`."""

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}).") from None

    for folder, inner, files in os.walk(top, onerror=refuse):
        if CONFIG in files:
            inner.clear()
            yield Path(folder)


def _by_number(path: Path) -> list[tuple[bool, int, str]]:
    """A sort key in which run-2 stands before run-10."""
    pieces = re.split(r"(\d+)", str(path))
    return [(not piece.isdecimal(), int(piece) if piece.isdecimal() else 0, piece) for piece in pieces if piece]
