"""Errors for users, each one line: what met what, where, and what to do; and checks of names, numbers and files."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable
from numbers import Real
from operator import index
from pathlib import Path
from typing import Any

CLOSE = 0.65  # difflib's ratio: 'sdg' is close to 'sgd' (0.67), 'foo' is not to 'infopro' (0.60)


LONGEST = 2000  # characters of a message


class UserError(ValueError):
    """An error that the user can correct. The command line prints it as one line and exits with status 2.

    Its text is one printable line of at most 2000 characters, whatever a file or a word has put into it: line breaks
    are spaces, control characters are as Python writes them, and of a longer text the middle is left out.
    """

    def __init__(self, text: object = "") -> None:
        super().__init__(one_line(str(text)))


def nearest(word: object, known: Iterable[str]) -> str:
    """The end of a message that refuses `word`: `"; did you mean 'backlink'?"`, or `"."` where no known name is close.

    Case and the order of a name's parts do not count: 'BP' is close to 'bp', and 'x_train' to 'train_x'.
    """
    spelling = {name.lower(): name for name in reversed(list(known))}
    wrong = str(word).lower()
    close = [name for name in spelling if _parts(name) == _parts(wrong)]
    close = close or difflib.get_close_matches(wrong, list(spelling), n=1, cutoff=CLOSE)
    return f"; did you mean {spelling[close[0]]!r}?" if close else "."


def unknown(kind: str, word: object, known: Iterable[str], *, more: str = "") -> UserError:
    """The error for an unknown name: the nearest name, and all known ones; `more` is any other form allowed."""
    known = list(known)
    also = f", {more}" if more else ""
    return UserError(f"{kind} {word!r} is not known{nearest(word, known)} Known: {', '.join(known)}{also}.")


def first_line(error: BaseException) -> str:
    """The first line of an error's message; of CuPy's text about a failed import, its cause."""
    text = str(error).rpartition("Original error:")[2]
    lines = [line.strip() for line in text.splitlines() if line.strip(" =\n")]
    kind, first = type(error).__name__, lines[0][:200] if lines else ""
    return first if first.startswith(kind) else f"{kind}: {first}".rstrip(": ")


def printable(text: object) -> str:
    """`text` with its control characters as Python writes them, `\\x1b`: a terminal obeys nothing in it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def one_line(text: str, most: int = LONGEST) -> str:
    """`text` in one printable line of at most `most` characters; the end stays, where the remedy stands."""
    text = printable(re.sub(r"\s*[\r\n]+\s*", " ", _ends(text, most).strip()))
    return _ends(text, most)


def check_utf8(what: str, text: str) -> None:
    """Check that `text` can be written into a file. Raises: UserError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} {text!a} is not UTF-8: choose another name.") from None


def path_of(what: str, path: Any) -> Path:
    """`path` as a Path; `what` begins the message.

    Raises: UserError for anything but a text or a Path, and for an empty text, which would be the working folder.
    """
    if (isinstance(path, str) and path) or isinstance(path, os.PathLike):
        return Path(path)
    raise UserError(f"{what} = {path!r}: give a path, as 'runs/mine'.")


def check_file(path: str | os.PathLike[str]) -> None:
    """Check that what is at `path`, if anything, is a file or a folder: a pipe or a device may have no end.

    Raises: UserError.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # who opens it says what is wrong
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UserError(f"{os.fspath(path)} is a device or a pipe, and no file: give another name.")


def reason(error: BaseException, most: int = 300) -> str:
    """What a library or a server says of an error, in one line of `most` characters; if nothing, the error's kind."""
    text = printable(" ".join(str(error).split())).rstrip(".")
    text = text if len(text) <= most else f"{text[:most]} ..."
    return text or type(error).__name__


def shown(value: object, most: int = 100) -> str:
    """`repr(value)` in one line of `most` characters; a number of thousands of digits has no text in Python."""
    try:
        text = printable(" ".join(repr(value).split()))
    except ValueError:
        text = f"a {type(value).__name__} of many digits"
    return text if len(text) <= most else f"{text[:most]}..."


def call_it(value: object) -> str:
    """`": call it, backlink()"` for a function or a class that stands in place of its result, else `""`."""
    return f": call it, {value.__name__}()" if callable(value) and hasattr(value, "__name__") else ""


def whole(what: str, number: Any, least: int = 1, most: int | None = None, *, give: str = "") -> int:
    """`number` as a Python int; NumPy's integers are whole numbers, truth values are not.

    `give` replaces "a whole number, 1 or more" at the end of the message.

    Raises: UserError where it is no whole number, below `least` or above `most`.
    """
    try:
        value = None if isinstance(number, bool) else index(number)
    except TypeError:
        value = None
    if value is None or value < least or (most is not None and value > most):
        limits = f"{least} or more" if most is None else f"{least} to {most}"
        raise UserError(f"{what} = {shown(number)}: give {give or f'a whole number, {limits}'}.")
    return value


def real(what: str, number: Any, low: float, high: float, ends: str = "[]", *, why: str = "") -> float:
    """`number` as a Python int or float, between `low` and `high`; a round bracket in `ends` excludes that end.

    NumPy's numbers become Python's: they would widen float32 arrays, and fit no configuration. `why` ends the message.

    Raises: UserError where it is no number, or outside.
    """
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    excluded = low if ends[0] == "(" else None, high if ends[1] == ")" else None
    if is_number and low <= number <= high and number not in excluded:
        return number if type(number) in (int, float) else float(number)
    then = f": {why}." if why else "."
    raise UserError(f"{what} {shown(number)} is outside {ends[0]}{low:g}, {high:g}{ends[1]}{then}")


def fraction(what: str, number: object, ends: str = "[]", *, why: str = "") -> float:
    """`number` as a Python number between 0 and 1, as `real`."""
    return real(what, number, 0, 1, ends, why=why)


def boolean(what: str, value: object) -> bool:
    """`value` where it is True or False.

    Raises: UserError for anything else, 0 and 1 too.
    """
    if not isinstance(value, bool):
        raise UserError(f"{what} = {shown(value)}: give true or false.")
    return value


def set_checked(recipe: object, **values: Any) -> None:
    """Write checked values into a frozen dataclass, for its own `__post_init__`."""
    for name, value in values.items():
        object.__setattr__(recipe, name, value)


def _ends(text: str, most: int) -> str:
    """The start and the end of a text that is longer, with dots between."""
    end = most // 4
    return text if len(text) <= most else f"{text[: most - end - 5]} ... {text[-end:]}"


def _parts(name: str) -> list[str]:
    return sorted(re.findall(r"[a-z]+|\d+", name))
