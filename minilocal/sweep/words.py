"""A grid from words: several values of a flag or key, and seeds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from minilocal.config import FLAGS, SWITCHES, parse_setting, value_of
from minilocal.errors import UserError
from minilocal.sweep.grid import MOST, SEED, Axis, Choice


def values(flag: str, text: str) -> list[str]:
    """The values in the text of a flag: separated by commas, or by semicolons where there is one.

    `0.25,0.5` is two values, `3,3,2;4` is two, and `3,3,2;` is one.

    Raises: UserError where one is empty.
    """
    parts = text.removesuffix(";").split(";") if ";" in text else text.split(",")
    if not all(part.strip() for part in parts):
        raise UserError(f"{flag} {text!r} has an empty value: write values as 0.25,0.5 or '3,3,2;4'.")
    return [part.strip() for part in parts]


def of_flag(flag: str, texts: Sequence[str]) -> Axis:
    """The axis of a flag with these texts, one for each time that it was given."""
    key = FLAGS[flag]
    words = [word for text in texts for word in values(flag, text)]
    labels = [value_of(key, word) for word in words]
    return Axis(key, [Choice(label, (flag, {key: label})) for label in labels])


def of_switch(flag: str) -> Axis:
    """The axis of a flag without a value."""
    key, value = FLAGS[flag], SWITCHES[flag]
    return Axis(key, [Choice(value, (flag, {key: value}))])


def of_settings(texts: Sequence[str]) -> list[Axis]:
    """The axes of `table.key=value,value`, one for each key; a key given again has more values.

    Raises: UserError for other text.
    """
    axes: dict[str, Axis] = {}
    for text in texts:
        parse_setting(text)  # refuses what is not table.key=value
        key, _, rest = text.partition("=")
        for word in values(f"--set {key.strip()}=", rest):
            source, keys = parse_setting(f"{key}={word}")
            name, value = next(iter(keys.items()))
            axes.setdefault(name, Axis(name, [])).choices.append(Choice(value, (f"{source} {name}", keys)))
    return list(axes.values())


def of_seeds(text: str) -> Axis:
    """The axis of `0-4`, `0,3,7` or `0-4,10`.

    Raises: UserError for other text, and for a range without a seed.
    """
    seeds: list[int] = []
    for part in values("--seeds", text):
        match = re.fullmatch(r"(\d{1,18})(?:-(\d{1,18}))?", part)
        if match is None:
            raise UserError(f"--seeds {text!r}: write seeds as 0-4, 0,3,7 or 0-4,10.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f"--seeds {text!r} has no seed from {first} to {last}: the grid is empty.")
        if last - first >= MOST:
            raise UserError(f"--seeds {text!r} has {last - first + 1} seeds: give at most {MOST}.")
        seeds += range(first, last + 1)
    return Axis(SEED, [Choice(seed, ("--seeds", {SEED: seed})) for seed in seeds])


def check_once(axes: Sequence[Axis]) -> None:
    """Check that no key is set by two flags. Raises: UserError."""
    flags: dict[str, str] = {}
    for axis in axes:
        for source, keys in (choice.source for choice in axis.choices):
            for key in keys:
                flag = source.partition(" ")[0]
                if flags.setdefault(key, flag) != flag:
                    raise UserError(f"{key} is set by {flags[key]} and by {flag}: give all its values to one of them.")


def commas_explained(error: UserError, axes: Sequence[Axis]) -> UserError:
    """The error, with how to write a value with commas where one of its axis has been cut at a comma."""
    text = str(error)
    labels = [repr(choice.label) for axis in axes if len(axis.choices) > 1 for choice in axis.choices]
    if any(f" = {label} (" in text for label in labels):
        return UserError(f"{text} (Values with commas of their own are separated by ';', a single one ends in it.)")
    return error
