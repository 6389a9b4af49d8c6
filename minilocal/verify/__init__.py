"""The referee: each thing beside its autograd twin. Importing this needs JAX.

`for result in verify.run(): print(result.name, result.error, result.passed)` is what `minilocal verify` does.
"""

from __future__ import annotations

from collections.abc import Iterator

from minilocal.errors import unknown
from minilocal.verify import decoupled, equations, layers, losses, nets, objectives, rules
from minilocal.verify.measure import Result

KINDS = {
    "equations": equations,
    "layers": layers,
    "losses": losses,
    "nets": nets,
    "rules": rules,
    "objectives": objectives,
    "decoupled": decoupled,
}


def run(quick: bool = False, only: str | None = None) -> Iterator[Result]:
    """Every check, one row of the table at a time; `quick` leaves out large cases, `only` names one kind.

    Raises: UserError for a kind that is not known.
    """
    if only is not None and only not in KINDS:
        raise unknown("kind of check", only, KINDS)
    for kind, checks in KINDS.items():
        if only in (None, kind):
            yield from checks.run(quick)


__all__ = ["KINDS", "Result", "run"]
