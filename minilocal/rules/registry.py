"""Rules by name: the function that makes each, its options, and the rule itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from minilocal.errors import UserError, nearest, unknown
from minilocal.rules import from_file, text
from minilocal.rules.answers import composed
from minilocal.rules.compose import Rule
from minilocal.rules.option_docs import options_of

COMPOSED = "compose"  # the rule of answers by name, as a configuration writes them
EXAMPLE = "backlink:length=2,alpha=0.25"

_BY_NAME: dict[str, Callable[..., Rule]] = {}


def register(*functions: Callable[..., Rule]) -> tuple[str, ...]:
    """Register the rules of these functions by the functions' names; return all registered names, in order."""
    _BY_NAME.update({function.__name__: function for function in functions})
    return tuple(_BY_NAME)


def constructor(name: str) -> Callable[..., Rule]:
    """The function that makes the rule: a registered name, "compose", or FILE.py:NAME for a user's own.

    Raises: UserError for an unknown rule, and a file that cannot be read or run.
    """
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name]
    if name == COMPOSED:
        return composed
    if from_file.is_own(name):
        return from_file.constructor(name)
    raise unknown("rule", name, (*_BY_NAME, COMPOSED), more="or FILE.py:NAME for one of your own")


def options(name: str) -> dict[str, Any]:
    """The options of the rule of this name, with their defaults.

    Raises: UserError for an unknown rule.
    """
    return {option.name: option.default for option in options_of(constructor(name), name)}


def changed(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of these options of a rule that are not its defaults. A default tuple is a list in a configuration.

    Raises: UserError for an unknown rule.
    """
    defaults = {key: list(v) if isinstance(v, tuple) else v for key, v in options(name).items()}
    return {key: value for key, value in values.items() if value != defaults.get(key)}


def get(name: str, **values: Any) -> Rule:
    """The rule of this name: `get("backlink", length=1)` is `backlink(length=1)`.

    `get("compose", objective="infopro", boundary="link:length=1")` is a composition, and `get("file.py:rule")` yours.

    Raises: UserError for an unknown rule or an option that it does not have.
    """
    known = options(name)
    for key in values:
        if key not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise UserError(f"rule {name!r} has no option {key!r}{nearest(key, known)} For it, {has}.")
    return constructor(name)(**values)


def parse(question: str, answer: str | Mapping[str, Any], **values: Any) -> Rule:
    """The rule of a text, "backlink:length=2,alpha=0.25", or of a table with a name in it; `values` are more options.

    Raises: UserError naming the `question`, for what is neither; as `get`; and for an option given twice.
    """
    name, written = text.read(question, answer, EXAMPLE)
    if twice := sorted(written.keys() & values):
        raise UserError(f"{question} = {answer!r} sets {twice[0]}, and so does {twice[0]} = {values[twice[0]]!r}.")
    return get(name, **written, **values)


def label(name: str) -> str:
    """A rule's name for a table: that of a user's own rule is its name inside its file.

    Raises: UserError for a file without a rule's name behind it.
    """
    return from_file.parts(name)[1] if from_file.is_own(name) else name
