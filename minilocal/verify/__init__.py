"""The referee: each thing beside its autograd twin, and layers of your own beside finite differences.

`for result in verify.run(): print(result.name, result.error, result.passed)` is what `minilocal verify` does; it needs
JAX. `verify.check_layer(layer, shape)` does not.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from minilocal.errors import unknown
from minilocal.verify.differences import Check, check_layer
from minilocal.verify.measure import Result

if TYPE_CHECKING:
    from minilocal.verify import decoupled, equations, layers, losses, nets, objectives, rules

KINDS = ("equations", "layers", "losses", "nets", "rules", "objectives", "decoupled")  # a file each, imported on use


def run(quick: bool = False, only: str | None = None) -> Iterator[Result]:
    """Every check, one row of the table at a time; `quick` leaves out large cases, `only` names one kind.

    Raises: UserError for a kind that is not known, and where JAX is not installed.
    """
    if only is not None and only not in KINDS:
        raise unknown("kind of check", only, KINDS)
    checks = [importlib.import_module(f"minilocal.verify.{kind}") for kind in KINDS if only in (None, kind)]
    return (result for kind in checks for result in kind.run(quick))


def __getattr__(name: str) -> Any:
    """A kind of check, whose file brings JAX with it."""
    if name in KINDS:
        return importlib.import_module(f"minilocal.verify.{name}")
    raise AttributeError(f"module 'minilocal.verify' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "KINDS", "Check", "Result", "check_layer", "decoupled", "equations", "layers", "losses", "nets", "objectives",
    "rules", "run",
]  # fmt: skip
