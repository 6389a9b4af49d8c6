"""Training rules: one short file each, by composition."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from minilocal.crossing import Recommended
from minilocal.errors import UserError, nearest, unknown
from minilocal.rules import when
from minilocal.rules.backlink import backlink
from minilocal.rules.bp import bp
from minilocal.rules.compose import Rule, compose
from minilocal.rules.ddg import ddg
from minilocal.rules.dgl import dgl
from minilocal.rules.dni import dni
from minilocal.rules.fdg import fdg
from minilocal.rules.gll import gll
from minilocal.rules.infopro import infopro
from minilocal.rules.pgl import pgl
from minilocal.rules.predsim import predsim

_BY_NAME: dict[str, Callable[..., Rule]] = {
    "bp": bp, "gll": gll, "backlink": backlink, "dgl": dgl, "predsim": predsim, "infopro": infopro, "pgl": pgl,
    "dni": dni, "ddg": ddg, "fdg": fdg,
}  # fmt: skip
NAMES = tuple(_BY_NAME)


def options(name: str) -> dict[str, Any]:
    """The options of the rule of this name, with their defaults.

    Raises: UserError for an unknown rule.
    """
    if name not in _BY_NAME:
        raise unknown("rule", name, NAMES)
    return {key: parameter.default for key, parameter in inspect.signature(_BY_NAME[name]).parameters.items()}


def get(name: str, **given: Any) -> Rule:
    """The rule of this name: `get("backlink", length=1)` is `backlink(length=1)`.

    Raises: UserError for an unknown rule or an option that it does not have.
    """
    known = options(name)
    for key in given:
        if key not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise UserError(f"rule {name!r} has no option {key!r}{nearest(key, known)} For it, {has}.")
    return _BY_NAME[name](**given)


__all__ = [
    "NAMES", "Recommended", "Rule", "backlink", "bp", "compose", "ddg", "dgl", "dni", "fdg", "get", "gll", "infopro",
    "options", "pgl", "predsim", "when",
]  # fmt: skip
