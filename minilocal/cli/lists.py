"""Flags that take several values, as `--net resnet20,vgg16` and `--modules 2,4`."""

from __future__ import annotations

from minilocal.errors import UserError


def words(flag: str, text: str) -> tuple[str, ...]:
    """The words of `text`, which are separated by commas.

    Raises: UserError where one of them is empty.
    """
    listed = tuple(word.strip() for word in text.split(","))
    if not all(listed):
        what = "has an empty word" if any(listed) else "names nothing"
        raise UserError(f"{flag} {text!r} {what}: give one or more, separated by commas.")
    return listed


def number(flag: str, text: str, least: int = 0) -> int:
    """The whole number of `text`. Raises: UserError for several, and for anything else or below `least`."""
    listed = numbers(flag, text, least)
    if len(listed) > 1:
        raise UserError(f"{flag} {text!r}: give one number.")
    return listed[0]


def numbers(flag: str, text: str, least: int = 0) -> tuple[int, ...]:
    """The whole numbers of `text`, which are separated by commas.

    Raises: UserError where there is none, and for anything else or below `least`.
    """
    listed = words(flag, text)
    if not all(word.isdecimal() and len(word) < 19 and int(word) >= least for word in listed):
        raise UserError(f"{flag} {text!r}: give whole numbers of {least} or more, as 2,4,8.")
    return tuple(map(int, listed))
