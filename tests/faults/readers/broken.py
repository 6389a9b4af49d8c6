"""Readers that are broken on purpose, one way each: the checks must notice every one."""

from __future__ import annotations

import ctypes
import os
import pickle
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minilocal.errors import UserError
from tests.faults.doors.broken import Raw
from tests.faults.measured import Broken
from tests.faults.readers.fuzz import tried
from tests.faults.readers.reader import Reader, valid

VALID = pickle.dumps([1, 2])
SOON = 0.6  # seconds of computing, after which an input of these readers has no end


class Runs:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def unpickles(content: bytes) -> None:
    """It unpickles whatever there is."""
    if content != VALID:
        pickle.loads(pickle.dumps(Runs()))


def evaluates(content: bytes) -> None:
    """It evaluates the text of a file."""
    if content != VALID:
        eval("1 + 1")


def allocates(content: bytes) -> None:
    """It takes 200 MB for a hundred bytes."""
    if content != VALID:
        bytes(200 << 20)


def allocates_unseen(content: bytes) -> None:
    """A library takes 200 MB that Python does not see."""
    if content != VALID:
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        ctypes.memset(libc.malloc(200 << 20), 1, 200 << 20)


def hangs(content: bytes) -> None:
    """It has no end."""
    while content != VALID:
        pass


def hangs_in_a_library(content: bytes) -> None:
    """It has no end, in a library that lets no signal in."""
    if content != VALID:
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass


def slow(content: bytes) -> None:
    """It needs more than its time."""
    if content != VALID:
        sum(range(10**8))


def crashes(content: bytes) -> None:
    """It ends the process."""
    if content != VALID:
        os.abort()


def prints(content: bytes) -> None:
    """It prints what is in the file."""
    if content != VALID:
        print("\x1b[2J")


def escapes(content: bytes) -> None:
    """It refuses with an escape sequence."""
    if content != VALID:
        raise Raw("file: \x1b[2J is wrong")


def two_lines(content: bytes) -> None:
    """It refuses in two lines."""
    if content != VALID:
        raise Raw("file is wrong:\nsee there")


def endless_line(content: bytes) -> None:
    """It refuses in a line of megabytes."""
    if content != VALID:
        raise Raw("file" * 10**6)


def nameless(content: bytes) -> None:
    """It refuses without a word on which file."""
    if content != VALID:
        raise UserError("this is wrong")


def raises(content: bytes) -> None:
    """It raises what the library raises."""
    if content != VALID:
        raise zipfile.BadZipFile("File is not a zip file")


def writes(content: bytes) -> None:
    """It writes elsewhere."""
    if content != VALID:
        Path("../written").write_text("here")


def changes(content: bytes) -> None:
    """It changes the file."""
    if content != VALID:
        Path("file").write_bytes(b"mended")


def accepts(content: bytes) -> None:
    """It takes what is not valid."""
    valid(content == VALID, "it is", content)


def refuses(content: bytes) -> None:
    """It refuses a file that is valid."""
    raise UserError("file is wrong")


def asks(content: bytes) -> None:
    """It asks for the memory that a file states, and refuses only because there is none."""
    if content != VALID:
        try:
            bytes(1 << 60)
        except MemoryError as error:
            raise UserError(f"file: {type(error).__name__}") from None


Fault = Callable[[bytes], None]
FAULTS: tuple[Fault, ...] = (
    unpickles, evaluates, allocates, allocates_unseen, hangs, hangs_in_a_library, slow, crashes, prints, escapes,
    two_lines, endless_line, nameless, raises, writes, changes, accepts, refuses, asks,
)  # fmt: skip


def reader(fault: Callable[[bytes], None]) -> Reader:
    """A reader with this fault, of a file called "file"."""

    def make(folder: Path) -> Sequence[bytes]:
        return [VALID]

    def read(folder: Path) -> Sequence[str]:
        fault((folder / "file").read_bytes())
        return []

    return Reader(fault.__name__, "", "file", make, read, "bytes", (__name__,))


def broken(faults: Sequence[Callable[[bytes], None]] = FAULTS) -> list[Broken]:
    """What the checks say of each of them, after two inputs."""
    collected = []
    for fault in faults:
        result = tried(
            reader(fault), inputs=2, hangs=SOON if fault is not slow else 30.0, kills=1.5 if fault is not slow else 60.0
        )
        what = (fault.__doc__ or "").rstrip(".")
        collected.append(Broken(f"a sound reader: {what[0].lower()}{what[1:]}", 2, len(result.findings)))
    return collected
