"""What a user can get wrong, said in one line: what met what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from operator import index

CLOSE = 0.65  # a typing error keeps two letters of three; "foo" is no "infopro"


class UserError(ValueError):
    """An error that the user can mend. The command line prints it as one line and exits with status 2."""


def nearest(word: object, known: Iterable[str]) -> str:
    """`"; did you mean 'backlink'?"` for the known name closest to `word`, or nothing where none is close."""
    close = difflib.get_close_matches(str(word), list(known), n=1, cutoff=CLOSE)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, word: object, known: Iterable[str]) -> UserError:
    """The error for a name that is not known: the nearest one, and all that are."""
    known = list(known)
    return UserError(f"{kind} {word!r} is not known{nearest(word, known) or '.'} Known: {', '.join(known)}.")


def call_it(thing: object) -> str:
    """`": call it, backlink()"` for a function or a class that was given in place of what it makes, else nothing."""
    return f": call it, {thing.__name__}()" if callable(thing) and hasattr(thing, "__name__") else ""


def whole(what: str, number: object, least: int = 1) -> int:
    """`number` as a Python int.

    Raises: UserError where it is no whole number, or below `least`.
    """
    try:
        value = None if isinstance(number, bool) else index(number)  # type: ignore[arg-type]
    except TypeError:
        value = None
    if value is None or value < least:
        raise UserError(f"{what} = {number!r}: give a whole number, {least} or more.")
    return value
