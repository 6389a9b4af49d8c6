"""One writer at a time: a file in the folder, locked with flock, which exists only while a process writes.

The writer removes the file before it releases the lock. A process that opened the file just before then locks a file
without a name, which keeps no other process out. So whoever gets the lock checks that its file is still the one in the
folder, and tries again if it is not. A file that somebody removes by hand is found missing at the next write. After a
kill the file stays without a lock, and the next writer locks it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from minilocal.errors import UserError
from minilocal.record.read import LOCK

OPEN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # neither through a link, nor waiting for a pipe


class InUse(UserError):
    """The error for a folder that another process writes to."""


class Lock:
    """A lock held from construction until `release`, which may be called again.

    Raises: InUse where another process holds it; OSError where the file cannot be created, or is a symbolic link.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor = self._open()
        try:
            while not self.is_current() or self._has_other_names():
                self._close()
                self._descriptor = self._open()
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Remove the file, then release the lock."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            if self.is_current():
                self.file.unlink()
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _open(self) -> int:
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | OPEN, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            error = _in_use(self.file, descriptor)
            os.close(descriptor)
            raise error from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _has_other_names(self) -> bool:
        """Whether the file has hard links elsewhere, which would get what is written; its name here is removed then."""
        if os.fstat(self._descriptor).st_nlink < 2:
            return False
        self.file.unlink()
        return True

    def is_current(self) -> bool:
        """Whether the locked file is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self.file))
        except FileNotFoundError:
            return False


def check_unlocked(folder: str | Path) -> None:
    """Check that no process writes to this folder now. Nothing is created.

    Raises: InUse.
    """
    file = Path(folder) / LOCK
    try:
        descriptor = os.open(file, os.O_RDONLY | OPEN)
    except OSError:
        return  # there is none, or whoever locks it will say what is wrong
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _in_use(file, descriptor) from None
    finally:
        os.close(descriptor)


def _in_use(file: Path, descriptor: int) -> InUse:
    """The error for a lock that another process holds, which has written its number into the file."""
    holder = os.pread(descriptor, 400, 0).decode(errors="replace") or "another process"
    return InUse(f"{file.parent} is in use by {holder}: wait for it, or choose another --out.")
