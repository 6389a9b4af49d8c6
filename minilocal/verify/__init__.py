"""Verification: equations, layers, losses, networks and rules against JAX; a layer and a rule of your own.

`for result in verify.run(): print(result.name, result.error, result.passed)` is what `minilocal verify` does; it needs
JAX. `verify.check_layer(layer, shape)` and `verify.certify(rule)` do not.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minilocal.errors import unknown
from minilocal.verify.certificate import Certificate, Claim, certify
from minilocal.verify.compare import Result
from minilocal.verify.differences import Check, check_layer

if TYPE_CHECKING:
    from minilocal.verify import delayed, device, equations, layers, losses, nets, objectives, rules, synchronous

KINDS = {  # the module of each, imported on use
    "equations": "equations",
    "layers": "layers",
    "losses": "losses",
    "nets": "nets",
    "rules": "rules",
    "objectives": "objectives",
    "decoupled": "delayed",
}


def run(quick: bool = False, only: str | None = None) -> Iterator[Result]:
    """Every check, one row of the table at a time; `quick` leaves out large cases, `only` names one kind.

    Raises: UserError for a kind that is not known, and where JAX is not installed.
    """
    if only is not None and only not in KINDS:
        raise unknown("kind of check", only, KINDS)
    checks = [
        importlib.import_module(f"minilocal.verify.{module}") for kind, module in KINDS.items() if only in (None, kind)
    ]
    return (result for kind in checks for result in kind.run(quick))


def __getattr__(name: str) -> Any:
    """A module of checks, which imports JAX."""
    if name in (*KINDS.values(), "device", "synchronous"):
        return importlib.import_module(f"minilocal.verify.{name}")
    raise AttributeError(f"module 'minilocal.verify' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "KINDS", "Certificate", "Check", "Claim", "Result", "certify", "check_layer", "delayed", "device", "equations",
    "layers", "losses", "nets", "objectives", "rules", "run", "synchronous",
]  # fmt: skip
