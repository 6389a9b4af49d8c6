"""The modules of a Learner, and the owners of their arrays."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.array import Array
from minilocal.boundaries.base import ErrorModel
from minilocal.boundaries.supply import Entrance
from minilocal.engine.module import Module
from minilocal.layers import Layer
from minilocal.layers.initial import Initializer
from minilocal.nets import Net
from minilocal.objectives import ModuleContext, Objective
from minilocal.objectives.behind import Behind, BehindUnit
from minilocal.rules.compose import Rule


def build(net: Net, rule: Rule, parts: Sequence[list[Layer]], key: int) -> list[Module]:
    """Modules of these units, each with its contexts, its local objective and its synthesiser.

    The last has the network's head.

    Raises: UserError where a context or an objective is not defined for a module.
    """
    initial = Initializer(key, net.initial.scheme)
    modules, first = list[Module](), 0
    for k, units in enumerate(parts):
        top = first + len(units)
        if k > 0:
            below = modules[-1].first
            units = rule.context.supplied(units, entrance(net, k, first, below, initial), is_last=k == len(parts) - 1)
        modules.append(Module(units, first, *behind(net, rule, k, len(parts), top, initial)))
        first = top
    return modules


def entrance(net: Net, k: int, first: int, below: int, initial: Initializer) -> Entrance:
    """The input of module k (from 0), which begins with unit `first`, above a module that begins with unit `below`."""
    inputs = [net.shape, *net.shapes]
    return Entrance(k, inputs[first], net.shape, inputs[below], initial)


def behind(
    net: Net, rule: Rule, k: int, K: int, top: int, initial: Initializer
) -> tuple[Objective | None, ErrorModel | None]:
    """The objective and the synthesiser of module k of K, counted from 0, where `top` units end with that module.

    Raises: UserError where the objective is not defined for this module.
    """
    shape = net.shapes[top - 1]
    above = list(zip(net.units[top:], net.shapes[top:], strict=True))
    context = ModuleContext(k, K, top, len(net.units), shape, net.classes, net.widest, net.shape, initial, above)
    if k == K - 1:
        return rule.objective.last(net.head, context), None
    averages = rule.boundary.averages
    objective = rule.objective.build(context if averages is None else BehindUnit.of(context))
    if averages is not None and objective is not None:
        objective = Behind(averages.unit(context), objective)
    return objective, rule.boundary.synthesiser(context)


def owners(modules: Sequence[Module], kind: str) -> list[tuple[str, dict[str, Array]]]:
    """(name of the owner, its arrays) of units, objectives and synthesisers, bottom to top.

    `kind` is "parameters" or "buffers".
    """
    pairs = []
    for k, module in enumerate(modules, 1):
        pairs += [(f"unit {u}", getattr(unit, kind)) for u, unit in enumerate(module.units, module.first + 1)]
        for part in ("objective", "synthesiser"):
            if (owner := getattr(module, part)) is not None:
                pairs.append((f"the {part} of module {k}", getattr(owner, kind)))
    return pairs
