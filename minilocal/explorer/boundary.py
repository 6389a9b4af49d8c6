"""What passes each boundary at a point: errors, by the rule's answers, and messages between devices.

Nothing is measured: `minilocal locality` perturbs units and measures the same paths and locks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.draw.network_layout import Layout
from minilocal.draw.rule_diagram import error_paths
from minilocal.explorer.choices import ALPHA
from minilocal.learner import Learner
from minilocal.parallel.simulate import Placement
from minilocal.parallel.simulate.program import Send, SendReceive
from minilocal.parallel.simulate.schedule import program_of
from minilocal.rules import Rule

MOST = 128  # the largest exponent of α that is looked for


def errors_of(learner: Learner) -> list[dict[str, Any]]:
    """For each module, bottom to top, the errors that enter its units and what comes through the boundary above it.

    What is empty, 0 or false is left out.

    own, above   for its own error and for that from above, an exponent for each unit that it enters, from the top down:
                 n where the weight is α^n, -n where it is (1-α)^n, 0 where it is 1; a number of units where all are 0
    source       the module whose loss that error is of
    arrives      it in words, "" where none comes
    errors       their number, where several come one by one
    target       it trains the synthesiser, and enters no unit
    delayed      it is of an earlier iteration
    upward       the activation that goes up arrives in a later iteration
    loss         "L", "ê" for a synthetic gradient, "" for none
    """
    rows = [
        {
            "own": _exponents(row.own),
            "above": _exponents(row.above),
            "source": row.source,
            "arrives": row.arrives,
            "errors": row.errors if row.errors > 1 else 0,
            "target": row.target,
            "delayed": row.delayed,
            "upward": row.activations_delayed,
            "loss": "ê" if "hat" in row.loss else row.loss,
        }
        for row in Layout(learner).rows
    ]
    return [{name: fact for name, fact in row.items() if fact} for row in rows]


def _exponents(weights: dict[int, float]) -> int | list[int]:
    exponents = [exponent(weight) for _, weight in sorted(weights.items(), reverse=True)]
    return exponents if any(exponents) else len(exponents)


def exponent(weight: float) -> int:
    """n where a weight is α^n, -n where it is (1-α)^n, 0 where it is 1, for α = ALPHA."""
    powers = {1.0: 0} | {ALPHA**n: n for n in range(1, MOST)} | {(1 - ALPHA) ** n: -n for n in range(1, MOST)}
    return powers[weight]


def locks(rule: Rule, sizes: Sequence[int], epoch: int = 0) -> tuple[str, str, str]:
    """The forward, the update and the backward lock, in the words of `locality.Locality.locks`, by the rule's answers.

    A unit needs the modules above it that an error of the same iteration comes through on its way to it.
    """
    activations, errors = rule.boundary.lags
    module = [k for k, n in enumerate(sizes) for _ in range(n)]
    needs = [[0] * n for n in sizes]
    for path in error_paths(rule, sizes, epoch):
        for unit in path.units:
            k = module[unit]
            needs[k][unit - sum(sizes[:k])] = max(needs[k][unit - sum(sizes[:k])], path.loss - k) if errors == 0 else 0
    below, above = needs[:-1], [len(sizes) - 1 - k for k in range(len(sizes) - 1)]
    waiting = max(sum(n > 0 for n in units) for units in below)
    backward = f"{waiting} unit{'s' * (waiting > 1)}, {max(map(max, below))} up" if waiting else "broken"
    if all(n == most for units, most in zip(below, above, strict=True) for n in units):
        backward = "kept"
    update = "kept" if all(max(units) == most for units, most in zip(below, above, strict=True)) else "broken"
    forward = "kept" if activations == 0 and rule.when.engine != "asynchronous" else "broken"
    return forward, update, backward


def messages(place: Placement) -> list[tuple[int, int]]:
    """Bytes (up, down) that the two devices at each boundary send each other in a step, one module a device."""
    devices = len(place.owned)
    up, down = [0] * (devices - 1), [0] * (devices - 1)
    steady = place.last * sum(place.rule.boundary.lags) + 1
    for device in range(devices):
        program = program_of(place, device)
        for t in range(steady + 1):
            for op in program.step(t):
                if t == steady and isinstance(op, (Send, SendReceive)):
                    if op.device > device:
                        up[device] += op.nbytes
                    else:
                        down[op.device] += op.nbytes
    return list(zip(up, down, strict=True))
