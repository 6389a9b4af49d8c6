"""What is read of a large archive, kept in a file beside it: later runs read that file, and decompress nothing.

The file is ARCHIVE.kept.npz, uncompressed: images, labels, class names, and of which archive they are, by its length
and the time of its last change. It is written aside and renamed. Reading compares its checksums (CRC-32). A file that
is damaged, or of another archive, is written anew.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minilocal.data.layout import Contents
from minilocal.data.member import Arrays
from minilocal.errors import reason

VERSION = 1


class Copy(NamedTuple):
    """The contents of a copy, and whether its checksum is the official one, in words."""

    contents: Contents
    verdict: str


class NotUsable(Exception):
    """The kept file cannot be used; the text says why."""


def kept(archive: Path, read: Callable[[], Copy], check: Callable[[Contents], None]) -> Copy:
    """The copy in the file beside `archive`, or else what `read` returns, which is then kept there.

    `check` raises an error for contents that cannot be of this data set. A note says where the copy comes from, or why
    none could be kept.

    Raises: UserError as `read`.
    """
    file, about = path_of(archive), _about(archive)
    remark = ""
    if file.is_file():
        try:
            copy = _load(file, about, check)
            return _noted(copy, f"its images were unpacked into {file}")
        except NotUsable as unusable:
            remark = f" ({unusable})"
    copy = read()
    try:
        nbytes = _save(file, about, copy)
    except OSError as error:
        return _noted(copy, f"unpacked; {file} cannot be written{remark}: {error.strerror or error}")
    return _noted(copy, f"unpacked into {file}, {nbytes / 1e6:.0f} MB, for later runs{remark}")


def path_of(archive: Path) -> Path:
    """The file beside an archive: `stl10_binary.tar.gz.kept.npz`."""
    return archive.with_name(f"{archive.name}.kept.npz")


def _about(archive: Path) -> dict[str, Any]:
    """What tells an archive from another of its name."""
    status = archive.stat()
    return {"version": VERSION, "name": archive.name, "bytes": status.st_size, "changed": status.st_mtime_ns}


def _load(file: Path, about: dict[str, Any], check: Callable[[Contents], None]) -> Copy:
    """The copy in a kept file of the archive that `about` describes.

    Raises: NotUsable.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > file.stat().st_size:
                raise ValueError("it is compressed")
            arrays = Arrays(archive)
            saved = json.loads(str(arrays["about"]))
            if saved["archive"] != about:
                raise NotUsable("the one that was there is of another archive")
            contents = Contents(arrays["x"], arrays["y"], tuple(saved["classes"]), tuple(saved["notes"]))
            verdict = str(saved["verdict"])
        if contents.x.dtype != np.uint8 or contents.x.ndim != 4 or contents.y.dtype != np.int64:
            raise ValueError("other arrays than images and labels")
        if len(contents.x) != len(contents.y):
            raise ValueError("not as many labels as images")
        check(contents)
    except NotUsable:
        raise
    except Exception as error:  # a damaged file can raise any error
        raise NotUsable(f"the one that was there is damaged: {reason(error)}") from None
    return Copy(contents, verdict)


def _save(file: Path, about: dict[str, Any], copy: Copy) -> int:
    """Write the file aside and rename it. Returns its bytes.

    Raises: OSError.
    """
    contents, verdict = copy
    text = {"archive": about, "classes": contents.classes, "notes": contents.notes, "verdict": verdict}
    part = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        with part.open("wb") as target:
            np.savez(target, x=contents.x, y=contents.y, about=np.array(json.dumps(text)))
            target.flush()
            os.fsync(target.fileno())
        os.replace(part, file)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return file.stat().st_size


def _noted(copy: Copy, note: str) -> Copy:
    return copy._replace(contents=copy.contents._replace(notes=(*copy.contents.notes, note)))
