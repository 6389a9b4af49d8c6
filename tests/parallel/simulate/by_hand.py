"""Costs written by hand: whole numbers of seconds, so that sums are exact."""

from __future__ import annotations

import numpy as np

from minilocal import rules
from minilocal.parallel.simulate import Link, ModuleCosts, PartCosts
from minilocal.rules import Rule

FREE = Link(latency=0.0, bandwidth=float("inf"))
RULES: dict[str, Rule] = {
    "BP": rules.bp(),
    "BP, checkpointed": rules.bp(keep="inputs"),
    "BP, accumulated": rules.bp(accumulate=2),
    "GLL": rules.gll(),
    "BackLink, l = 1": rules.backlink(length=1),
    "BackLink, l = 2, inputs kept": rules.backlink(length=2, keep="inputs"),
    "BackLink, whole modules": rules.backlink(length="module"),
    "BackLink, total error": rules.backlink(length="module", error="total"),
    "DGL": rules.dgl(),
    "asynchronous DGL": rules.dgl(buffer=2),
    "DNI": rules.dni(),
    "DDG": rules.ddg(),
    "DDG, recomputed": rules.ddg(backward_weights="recompute"),
    "FDG": rules.fdg(),
    "PGL": rules.pgl(),
    "PGL around BackLink": rules.pgl(around="backlink:length=1"),
}


def part(numbers: np.random.Generator | None = None) -> PartCosts:
    """A part: 1 second forward, 2 backward, 1 for the weights alone; or whole numbers drawn at random."""
    if numbers is None:
        return PartCosts(1.0, 2.0, 1.0, 0.0, output=100, kept=150, parameters=10)
    forward, weights, more, update = (float(n) for n in numbers.integers(0, 9, 4))
    output, kept, parameters = (int(n) for n in numbers.integers(1, 200, 3))
    return PartCosts(forward + 1, weights + more + 1, weights, update, output, kept, parameters)


def modules(rule: Rule, sizes: list[int], numbers: np.random.Generator | None = None) -> tuple[ModuleCosts, ...]:
    """The costs of modules of so many units, with the objectives and synthesisers that the rule gives them."""
    costs, below = [], 100
    for k, size in enumerate(sizes):
        is_last = k == len(sizes) - 1
        units = tuple(part(numbers) for _ in range(size))
        objective = part(numbers) if is_last or rule.objective.is_local else None
        has_synthesiser = not is_last and rule.boundary.uses_input_error and rule.boundary.linked_units(1) == 0
        costs.append(ModuleCosts(units, objective, part(numbers) if has_synthesiser else None, below))
        below = units[-1].output
    return tuple(costs)
