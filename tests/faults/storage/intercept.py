"""A disk that refuses: the n-th call that writes raises an OSError, in this process, which is a forked child."""

from __future__ import annotations

import builtins
import errno
import io
import os
import time
from collections.abc import Callable
from typing import Any

CALLS = ("fsync", "replace", "link", "mkdir", "rename", "pwrite", "write")  # of os; a truncation takes no space


class Disk:
    """Counts the calls that write; from the `first`-th on, for `times` calls, they raise `number`. With 0 it counts.

    Opening for writing is a call, and so is each write of the bytes behind a buffer: half of them arrive first.
    `which` limits it to some calls, `before` is done ahead of each.
    """

    def __init__(
        self,
        first: int = 0,
        number: int = errno.ENOSPC,
        times: int = 10**9,
        which: tuple[str, ...] = (),
        before: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.first, self.number, self.times, self.which, self.before = first, number, times, which, before
        self.seen: list[str] = []

    def install(self) -> Disk:
        for name in CALLS:
            setattr(os, name, self._guarded(name, getattr(os, name)))
        os.open = self._open(os.open)
        io.open = builtins.open = self._opened(io.open)
        return self

    def call(self, name: str, path: Any = None) -> None:
        """Count a call. Raises: OSError where it is to fail."""
        if self.which and name not in self.which:
            return
        self.seen.append(name)
        self.before(name)
        if self.first and self.first <= len(self.seen) < self.first + self.times:
            raise OSError(self.number, os.strerror(self.number), *([] if path is None else [path]))

    def _guarded(self, name: str, real: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if not (name == "write" and arguments[0] in (1, 2)):
                self.call(name, arguments[0] if isinstance(arguments[0], (str, os.PathLike)) else None)
            return real(*arguments, **options)

        return call

    def _open(self, real: Any) -> Any:
        def call(path: Any, flags: int, *more: Any, **options: Any) -> Any:
            if flags & os.O_CREAT:
                self.call("create", path)
            return real(path, flags, *more, **options)

        return call

    def _opened(self, real: Any) -> Any:
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                try:
                    disk.call("bytes")
                except OSError:
                    super().write(memoryview(data).cast("B")[: len(data) // 2])
                    raise
                return super().write(data)

        def call(file: Any, mode: str = "r", buffering: int = -1, encoding: Any = None, errors: Any = None,
                 newline: Any = None, closefd: bool = True, opener: Any = None) -> Any:  # fmt: skip
            if isinstance(file, int) or not set(mode) & set("wax+"):
                return real(file, mode, buffering, encoding, errors, newline, closefd, opener)
            self.call("open", file)
            raw = Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            buffered: Any = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw)
            return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding or "utf-8", errors, newline)

        return call


def slow(seconds: float) -> Callable[[str], None]:
    """A disk whose every fsync takes so long."""
    return lambda name: time.sleep(seconds) if name == "fsync" else None
