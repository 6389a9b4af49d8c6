"""One writer at a time: a file in the folder, held with flock, and there only while a process writes.

The holder removes the file before it lets go. A process that opened it just before then holds a file without a name,
which holds no other process off: so whoever gets the lock looks whether it is still the one in the folder, and if not,
tries again. After a kill the file stays, held by no process, and the next writer takes it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import suppress
from pathlib import Path

from minilocal.errors import UserError


class Lock:
    """Held from the start until `release`, which may be called again.

    Raises: UserError where another process holds it; OSError where the file cannot be made, or is a symbolic link.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._descriptor = self._open()
        while not self._is_there():
            os.close(self._descriptor)
            self._descriptor = self._open()
        try:
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Removes the file, then lets go of it."""
        if self._descriptor < 0:
            return
        with suppress(OSError):
            if self._is_there():
                self.file.unlink()
        os.close(self._descriptor)
        self._descriptor = -1

    def _open(self) -> int:
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 400, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise UserError(
                f"{self.file.parent} is in use by {holder}: wait for it, or choose another --out."
            ) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _is_there(self) -> bool:
        """Whether the file that is held is still the one of that name."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), os.lstat(self.file))
        except FileNotFoundError:
            return False
