"""The options of a rule's function: defaults from its signature, sentences from the Args of its docstring.

Args:
    length: units of each module that ..., 0 or more; a sentence may
        go on, further in.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from minilocal.errors import UserError


class Option(NamedTuple):
    """One option: its name, its default, and a sentence with its effect and range."""

    name: str
    default: Any
    does: str


def options_of(function: Callable[..., Any], name: str) -> list[Option]:
    """The options of a rule's function, in the order of its signature; `name` is the rule's, for errors.

    Raises: UserError for one without a default.
    """
    sentences = args(inspect.getdoc(function) or "")
    options = []
    for key, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            raise UserError(f"rule {name}: its option {key!r} needs a default and a name, as {key}=1.")
        options.append(Option(key, parameter.default, sentences.get(key, "")))
    return options


def args(doc: str) -> dict[str, str]:
    """{option: sentence}, from the Args of a docstring."""
    _, _, block = doc.partition("\nArgs:\n")
    block = re.split(r"\n(?=\S)", block)[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", block, flags=re.M)
    return {key: " ".join(sentence.split()) for key, sentence in entries}


def headline(function: Callable[..., Any]) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(function) or "").partition("\n")[0]
