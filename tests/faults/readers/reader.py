"""A reader of files: how a small valid file is made, how it is read, and which lines of code are its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilocal.errors import LONGEST, UserError

FREE = 64 << 20  # bytes that reading may take, beyond the file's own
SECONDS = 2.0  # of computing
LARGEST = 1 << 20  # bytes of a file that is tried

__all__ = ["FREE", "LARGEST", "LONGEST", "SECONDS", "Reader", "valid"]


@dataclass(frozen=True)
class Reader:
    """One reader.

    name      in the table, and after READER= on the command line
    reads     what the file is
    file      its name in the folder
    make      lays out a folder of valid files, and returns contents of `file` that are valid
    read      reads the folder as users do; returns the texts that a command prints of it. An AssertionError: what was
              read without a word is not valid
    form      names of the kinds of mutation that fit it, a key of `mutations.FORMS`
    modules   of minilocal, whose lines show the way to new inputs
    refuses   the errors that it documents
    says      what each refusal names: the file, or its folder
    writes    patterns of files that it writes itself, beside the file
    needs     a module that has to be installed
    refuses_all   whether there is no content that is not refused, as of the lock of another process
    rewrites  whether a damaged file is written anew
    """

    name: str
    reads: str
    file: str
    make: Callable[[Path], Sequence[bytes]]
    read: Callable[[Path], Sequence[str]]
    form: str
    modules: tuple[str, ...]
    refuses: tuple[type[Exception], ...] = (UserError,)
    says: str = ""
    writes: tuple[str, ...] = ()
    needs: str = ""
    refuses_all: bool = False
    rewrites: bool = False

    @property
    def named(self) -> str:
        """What a refusal has in it."""
        return self.says or Path(self.file).name


def valid(condition: object, what: str, *shown: Any) -> None:
    """Raises: AssertionError where what was read is not valid."""
    if not condition:
        raise AssertionError(f"{what} {' '.join(map(ascii, shown))}"[:300])
