"""The modules that a rule makes of a network's units, and whatever of theirs has arrays."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.array import Array
from minilocal.engine.module import Module
from minilocal.layers import Layer
from minilocal.layers.initial import Initializer
from minilocal.nets import Net
from minilocal.objectives import ModuleContext
from minilocal.rules.compose import Rule


def build(net: Net, rule: Rule, parts: Sequence[list[Layer]], key: int) -> list[Module]:
    """The modules, each with what it wants; the last one wants the network's own head."""
    initial = Initializer(key, net.initial.scheme)
    built, first = list[Module](), 0
    for k, units in enumerate(parts):
        top = first + len(units)
        shape = net.shapes[top - 1]
        context = ModuleContext(k, len(parts), top, len(net.units), shape, net.classes, net.widest, net.shape, initial)
        if k == len(parts) - 1:
            built.append(Module(units, first, rule.objective.last(net.head, context)))
        else:
            built.append(Module(units, first, rule.objective.build(context), rule.boundary.synthesiser(context)))
        first = top
    return built


def owners(modules: Sequence[Module], kind: str) -> list[tuple[str, dict[str, Array]]]:
    """(what it is, its arrays) of everything with "parameters", or "buffers", bottom to top."""
    found = []
    for k, module in enumerate(modules, 1):
        found += [(f"unit {u}", getattr(unit, kind)) for u, unit in enumerate(module.units, module.first + 1)]
        for part in ("objective", "synthesiser"):
            if (owner := getattr(module, part)) is not None:
                found.append((f"the {part} of module {k}", getattr(owner, kind)))
    return found
