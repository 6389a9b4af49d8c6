"""Training rules: one short file each, by composition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minilocal.boundaries import Recommended
from minilocal.errors import UserError, nearest, unknown
from minilocal.rules import from_file, when
from minilocal.rules.answers import ANSWERS, composed
from minilocal.rules.backlink import backlink
from minilocal.rules.bp import bp
from minilocal.rules.compose import Rule, compose
from minilocal.rules.ddg import ddg
from minilocal.rules.dgl import dgl
from minilocal.rules.dni import dni
from minilocal.rules.fdg import fdg
from minilocal.rules.from_file import is_own
from minilocal.rules.gll import gll
from minilocal.rules.infopro import infopro
from minilocal.rules.option_docs import options_of
from minilocal.rules.pgl import pgl
from minilocal.rules.predsim import predsim

_BY_NAME: dict[str, Callable[..., Rule]] = {
    "bp": bp, "gll": gll, "backlink": backlink, "dgl": dgl, "predsim": predsim, "infopro": infopro, "pgl": pgl,
    "dni": dni, "ddg": ddg, "fdg": fdg,
}  # fmt: skip
NAMES = tuple(_BY_NAME)


COMPOSED = "compose"  # a rule of answers by name, as a configuration writes them


def constructor(name: str) -> Callable[..., Rule]:
    """What makes the rule of this name: one of `NAMES`, "compose", or FILE.py:NAME for one of the user's own.

    Raises: UserError for an unknown rule, and a file that cannot be read or run.
    """
    if isinstance(name, str) and name in _BY_NAME:
        return _BY_NAME[name]
    if name == COMPOSED:
        return composed
    if is_own(name):
        return from_file.constructor(name)
    raise unknown("rule", name, (*NAMES, COMPOSED), more="or FILE.py:NAME for one of your own")


def options(name: str) -> dict[str, Any]:
    """The options of the rule of this name, with their defaults.

    Raises: UserError for an unknown rule.
    """
    return {option.name: option.default for option in options_of(constructor(name), name)}


def get(name: str, **given: Any) -> Rule:
    """The rule of this name: `get("backlink", length=1)` is `backlink(length=1)`.

    `get("compose", objective="infopro", boundary="link:length=1")` is a composition, `get("file.py:rule")` one's own.

    Raises: UserError for an unknown rule or an option that it does not have.
    """
    known = options(name)
    for key in given:
        if key not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise UserError(f"rule {name!r} has no option {key!r}{nearest(key, known)} For it, {has}.")
    return constructor(name)(**given)


def label(name: str) -> str:
    """A rule's name in a few letters: that of one's own rule is what it is called in its file."""
    return from_file.parts(name)[1] if is_own(name) else name


__all__ = [
    "ANSWERS", "COMPOSED", "NAMES", "Recommended", "Rule", "backlink", "bp", "compose", "constructor", "ddg", "dgl",
    "dni", "fdg", "get", "gll", "infopro", "label", "options", "own", "pgl", "predsim", "when",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
