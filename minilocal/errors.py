"""What a user can get wrong, said in one line: what met what, where, and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from operator import index

CLOSE = 0.65  # difflib's ratio: 'sdg' is close to 'sgd' (0.67), 'foo' is not to 'infopro' (0.60)


class UserError(ValueError):
    """An error that the user can mend. The command line prints it as one line and exits with status 2."""


def nearest(word: object, known: Iterable[str]) -> str:
    """The end of a sentence that refuses `word`: `"; did you mean 'backlink'?"`, or `"."` where no known name is close.

    Case does not count ('BP' is close to 'bp'), nor does the order of a name's parts ('x_train' is 'train_x').
    """
    written = {name.lower(): name for name in reversed(list(known))}
    given = str(word).lower()
    close = [name for name in written if _parts(name) == _parts(given)]
    close = close or difflib.get_close_matches(given, list(written), n=1, cutoff=CLOSE)
    return f"; did you mean {written[close[0]]!r}?" if close else "."


def unknown(kind: str, word: object, known: Iterable[str], *, more: str = "") -> UserError:
    """The error for a name that is not known: the nearest one, and all that are; `more` says what else would do."""
    known = list(known)
    also = f", {more}" if more else ""
    return UserError(f"{kind} {word!r} is not known{nearest(word, known)} Known: {', '.join(known)}{also}.")


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


def _parts(name: str) -> list[str]:
    return sorted(re.findall(r"[a-z]+|\d+", name))
