"""The batches that each module works on in each iteration: the order of a rule's steps, without seconds.

An iteration has the length 1. A module's forward is one half of it and its backward the other, in the order in which
the engine does them. The program of one device with all modules says which batch each of them is for.
"""

from __future__ import annotations

from minilocal.errors import UserError, whole
from minilocal.parallel.simulate.costs import ModuleCosts, PartCosts
from minilocal.parallel.simulate.events import Bar
from minilocal.parallel.simulate.program import BACKWARD, FORWARD, Placement, Work
from minilocal.parallel.simulate.schedule import program_of
from minilocal.rules import Rule

PART = PartCosts(forward=1.0, backward=1.0, backward_weights=1.0, backward_input=1.0)


def iterations(rule: Rule, modules: int, steps: int) -> list[Bar]:
    """A bar for each forward and each backward of `modules` modules, in `steps` iterations from the first batch on.

    `device` is the module, counted from 0, and `start` the iteration, or half an iteration later.

    Raises: UserError for numbers below 1, and for asynchronous rules, whose modules have no common iteration.
    """
    K, number = whole("modules", modules), whole("steps", steps)
    if rule.when.engine == "asynchronous":
        raise UserError(f"{rule.name} draws its modules at random: they have no iterations in common.")
    program = program_of(Placement(rule, _costs(rule, K), [range(K)]), 0)
    batches = {
        (op.module, t, op.kind): op.batch
        for t in range(number)
        for op in program.step(t)
        if isinstance(op, Work) and op.kind in (FORWARD, BACKWARD) and op.seconds > 0
    }
    bars = []
    for (k, t, kind), batch in batches.items():
        first = BACKWARD if rule.when.first == "backward" and k < K - 1 else FORWARD
        bars.append(Bar(k, t + 0.5 * (kind != first), 0.5, kind, k, batch))
    return sorted(bars)


def _costs(rule: Rule, modules: int) -> list[ModuleCosts]:
    """Modules of one unit, with the parts that this rule gives them."""
    boundary = rule.boundary
    objective = PART if rule.objective.is_local else None
    synthesiser = PART if boundary.uses_input_error and boundary.linked_units(1) == 0 else None
    return [*[ModuleCosts((PART,), objective, synthesiser)] * (modules - 1), ModuleCosts((PART,), PART)]
