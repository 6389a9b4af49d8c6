"""An answer read from text, "link:length=2,alpha=0.25", or from a table, {name = "link", length = 2}."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from minilocal.errors import UserError

PART = r"(?:[^,\[]|\[[^\]]*\])+"  # up to a comma that is in no list
LONGEST = 10_000  # letters of a word: a longer one is no number and no list, and may keep its parser busy


def read(question: str, answer: Any, example: str) -> tuple[str, dict[str, Any]]:
    """(name, options) of an answer; `question` and `example` stand in its errors.

    Raises: UserError unless it is a name, name:key=value,key=value, or a table with a name in it.
    """
    if isinstance(answer, Mapping):
        options = {str(key): value for key, value in answer.items()}
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise UserError(f"{question} = {answer!r} has no name: write the keys beside one, as name = {example!r}.")
        return name, options
    if not isinstance(answer, str):
        raise UserError(f"{question} = {answer!r}: write a name, or name:option=value,..., as {example}.")
    name, _, rest = answer.partition(":")
    options = {}
    for part in re.findall(PART, rest):
        key, equals, word = part.partition("=")
        if not equals:
            raise UserError(f"{question} {answer!r}: write {name}:option=value,..., as {example}.")
        options[key.strip()] = value(word.strip())
    return name.strip(), options


def value(text: str) -> Any:
    """The value of a word: a number, a list or a truth value as in TOML, `.5` too, else the word itself."""
    import tomllib

    if len(text) > LONGEST:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # no TOML, too many digits, too many brackets
        pass
    try:
        return float(text) if re.match(r"[+-]?[.\d]", text) else text
    except ValueError:
        return text
