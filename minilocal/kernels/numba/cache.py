"""Compiled code on disk, for later processes.

The folder is named by the sources of all kernels and Numba's version: what changes in one of them is compiled anew.
(Numba looks at the file of the function alone; its code and its numbers may come from others, as the points of
kernels/cpu/winograd.py do.) Whoever can write there can have a user run code of theirs. So the folder is made for
this user alone, and nothing is loaded from one that others can reach. Then, without a folder that can be written, and
where a disk is full, each process compiles for itself.
"""

from __future__ import annotations

import fcntl
import glob
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from numba.core import config
from numba.core.caching import FunctionCache

from minilocal.private import why_not_private


def folder() -> Path:
    """Where compiled code lies: below NUMBA_CACHE_DIR, or else in the user's cache; its links are followed now."""
    sources = b"".join(path.read_bytes() for path in sorted(Path(__file__).parents[1].rglob("*.py")))
    name = f"numba-{sha256(sources + numba.__version__.encode()).hexdigest()[:12]}"
    if config.CACHE_DIR:
        return Path(os.path.realpath(config.CACHE_DIR)) / name
    place = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(os.path.realpath(place) if os.path.isabs(place) else place) / "minilocal" / name


def why_not_kept(place: Path) -> str:
    """Why `place` is no good for compiled code, "" where all is well. It is made where it can be, mode 0700."""
    if not place.is_absolute():
        return "the user has no home"
    try:
        if trouble := why_not_private(place):
            return trouble
        for part in (*reversed(place.parents), place):
            if not part.exists():
                part.mkdir(0o700, exist_ok=True)
        tempfile.TemporaryFile(dir=place).close()
        about = place.stat()
    except OSError as error:
        return error.strerror or str(error)
    if about.st_uid != os.geteuid() or about.st_mode & 0o077:  # files of Numba's in it are as the umask has it
        return "it is not this user's alone (mode 0700): remove it"
    return ""


FOLDER = folder()
TROUBLE = why_not_kept(FOLDER)


class Cache(FunctionCache):  # Numba has no annotations
    """Numba's cache of one function, in FOLDER.

    Two processes never write at once: Numba numbers its files, and both would take the same number for different code.
    """

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code of a signature. Where it cannot be written, it is compiled again by the next process."""
        try:
            with locked(FOLDER):
                super().save_overload(sig, data)
        except OSError as error:
            say(f"compiled Numba kernels are not kept: {FOLDER}: {error.strerror}")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code of a signature; None where it is not there, damaged, or that of another one."""
        try:
            code = super().load_overload(sig, target_context)
            if code is None or tuple(code.signature.args) == tuple(sig):
                return code
        except Exception:  # whatever a damaged file makes of itself
            pass
        with suppress(OSError), locked(FOLDER):
            self.remove()
        return None

    def remove(self) -> None:
        """Delete the files of this function: the index first, and then the code, whose numbers begin anew.

        With code left, a process that ends between its new index and its code would leave that to a wrong signature.
        """
        index = Path(self._cache_file._index_path)
        for path in (index, *index.parent.glob(f"{glob.escape(index.stem)}.*.nbc")):
            path.unlink(missing_ok=True)


def cached(dispatcher: Any) -> Any:
    """A function of Numba's, its code kept in FOLDER."""
    before, config.CACHE_DIR = config.CACHE_DIR, str(FOLDER)
    try:
        dispatcher._cache = Cache(dispatcher.py_func)
    finally:
        config.CACHE_DIR = before
    return dispatcher


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """No other process is in this block for the same folder. Raises: OSError."""
    with open(place / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def say(line: str) -> None:
    """A line on stderr."""
    print(f"minilocal: {line}", file=sys.stderr, flush=True)
