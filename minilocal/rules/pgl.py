"""PGL, periodic global guidance: local learning, and every few epochs some of backpropagation.

Bhatti and Moon, "Locally Supervised Learning with Periodic Global Guidance".

    for epoch = 0, 1, 2 ...
        local, P-Q of every P epochs:   every (w_k, γ_k) as the local rule has it
        global, the last Q of every P:  all w from the last loss, backpropagated through every module
                                        γ_k (k < K) from L_k with h_k a constant

P `period`, Q `duration`. Q = 0 is the local rule, Q = P is BP on the main weights. Optimiser state and running
statistics go on across the phases, and the auxiliary networks never stop learning. A global epoch needs the memory of
BP; only the average over a period is less.
"""

from __future__ import annotations

from typing import Any

from minilocal import rules
from minilocal.errors import UserError
from minilocal.rules.compose import Rule, compose
from minilocal.rules.when import always, periodic


def pgl(
    *, period: int = 10, duration: int = 2, includes: bool = True, around: str | Rule = "gll", aux: str | None = None
) -> Rule:
    """Global guidance around a local rule: `around` is a Rule, or as text "backlink" or "backlink:length=2,alpha=0.25".

    `aux` is the auxiliary network of a rule given as text, aux-adapt around "gll" and otherwise that rule's own.

    Raises: UserError for Q > P where P includes Q, and around a rule with delays or without a loss of its own.
    """
    if isinstance(around, str):
        around = _named(around, "aux-adapt" if aux is None and around == "gll" else aux)
    elif aux is not None:
        raise UserError(f"PGL around {around.name} has that rule's auxiliary networks: leave aux={aux!r} out.")
    if around.when != always():
        raise UserError(f"PGL around {around.name}: that rule says itself when it learns; give one that always does.")
    return compose(
        "PGL" if around.name == "GLL" else f"PGL+{around.name}",
        wants=around.wants,
        crosses=around.crosses,
        when=periodic(period, duration, includes),
        keep=around.keep,
        accumulate=around.accumulate,
    )


def _named(text: str, aux: str | None) -> Rule:
    """The rule that "name" or "name:key=value,key=value" stands for."""
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise UserError(f"around {text!r}: write rule:option=value,..., as in backlink:length=2,alpha=0.25.")
        options[key.strip()] = _value(value.strip())
    if aux is not None:
        options["aux"] = aux
    return rules.get(name.strip(), **options)


def _value(text: str) -> Any:
    """A number where it is one, else the word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)
