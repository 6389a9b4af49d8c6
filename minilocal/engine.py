"""One step of any rule: activations climb, objectives speak, errors come down, and what no error can reach is let go.

    for every module k, bottom to top
        h_k = f_k(h_{k-1})                                      climb
        L_k, e_k = objective of h_k                             speak
        e_k walks down all units of module k                    own error
        what arrives at its bottom, E_k, is handed to the module below, which was waiting for it:
            it walks down as many units as the crossing lets it, and there
            g = a_j g_loc + b_j g_glb                           weigh
            where the crossing says so it goes on into the next module below

A backward is linear in its error, so every error takes its own walk, and two walks leave two gradients that can be
weighed. A unit's cache is dropped as soon as its last error has passed: BP holds every module until the last loss,
GLL one module, BackLink one module and the linked units of the one below.

Gradients are handed to `take` unit by unit, as soon as they are final; whoever takes them may update the weights at
once, since no later walk of this step reads them again.

The engine asks the rule four questions and never its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minilocal.array import Array, namespace
from minilocal.auxiliary import Batch, Objective
from minilocal.crossing import all as everything
from minilocal.layers import Layer, Run
from minilocal.rules.compose import Rule

Take = Callable[[dict[str, Array]], None]


@dataclass(frozen=True)
class Module:
    """A run of units, the number of the first of them, and what the module wants."""

    units: list[Layer]
    first: int
    objective: Objective | None


@dataclass
class Waiting:
    """A module whose upper units an error from above may still reach: what is kept until then."""

    module: Module
    lowest: int  # the lowest unit that waits
    caches: dict[int, Any] = field(default_factory=dict)
    entry: Array | None = None  # with keep="inputs", the input of unit `lowest` instead of the caches
    own: dict[int, dict[str, Array]] = field(default_factory=dict)  # g_loc of the units that wait


class Step:
    """The parts of one step over one batch; `learn` runs them in order."""

    def __init__(
        self, modules: list[Module], rule: Rule, epoch: int, run: Run, p: Mapping[str, Array], take: Take, commit: bool
    ) -> None:
        self.modules, self.rule, self.run, self.p, self.take, self.commit = modules, rule, run, p, take, commit
        self.is_global = rule.when.is_global(epoch)
        self.crosses = everything() if self.is_global else rule.crosses

    def learn(self, batch: Batch) -> Array:
        """Losses (K,), float64, NaN where a module has none; every gradient has gone to `take`."""
        xp = namespace(batch.x)
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        below: list[Waiting] = []  # bottom to top
        h = batch.x
        for k, module in enumerate(self.modules):
            last = k == len(self.modules) - 1
            h, here, caches = self._climb(module, h, last)
            if module.objective is None:
                below.append(here)
                continue
            losses[k], error = self._speak(module, h, batch, last)
            if error is None:
                below.append(here)
                continue
            arrived = self._own_error(module, caches, error, here)
            if below:
                self._from_above(below, arrived)
            if here.lowest < len(module.units):
                below.append(here)
            del caches, error, arrived
        return losses

    def _reach(self, module: Module, last: bool) -> int:
        return 0 if last else self.crosses.reach(len(module.units))

    def _climb(self, module: Module, h: Array, last: bool) -> tuple[Array, Waiting, dict[int, Any]]:
        """h_k = f_k(h_{k-1}), what the module will wait with, and the caches of all units that walks will need."""
        here = Waiting(module, len(module.units) - self._reach(module, last))
        speaks = last or (module.objective is not None and not self.is_global)
        caches = {}
        for u, unit in enumerate(module.units):
            if u == here.lowest and self.rule.keep == "inputs":
                here.entry = h
            h, cache = unit.forward(h, self.run.at(module.first + u), self.p)
            if self.commit:
                unit.commit(cache, self.p)
            if speaks or self.rule.keep == "caches":
                caches[u] = cache
            del cache
        if self.rule.keep == "caches":
            here.caches = {u: c for u, c in caches.items() if u >= here.lowest}
        return h, here, caches

    def _speak(self, module: Module, h: Array, batch: Batch, last: bool) -> tuple[Array, Array | None]:
        """(L_k, e_k). In a global epoch only the last module's error walks; the others teach their objectives alone."""
        objective = module.objective
        assert objective is not None
        loss, cache = objective.forward(h, batch, self.run.at(module.first + len(module.units) - 1), self.p)
        if self.commit:
            objective.commit(cache, self.p)
        error, grads = objective.backward(cache, self.p, "both" if last or not self.is_global else "weights")
        self.take(grads)
        return loss, error

    def _own_error(self, module: Module, caches: dict[int, Any], error: Array | None, here: Waiting) -> Array | None:
        """e_k walks down the whole module; what arrives at its bottom is E_k, None where nobody listens below."""
        listeners = module.first > 0 and self.crosses.reach(1) > 0
        for u in reversed(range(len(module.units))):
            need = "both" if u > 0 or listeners else "weights"
            error, grads = module.units[u].backward(error, caches.pop(u), self.p, need)
            if u >= here.lowest:
                here.own[u] = grads  # final only when the error from above has been weighed in
            else:
                self.take(grads)
        return error

    def _from_above(self, below: list[Waiting], error: Array | None) -> None:
        """The error walks down the waiting units of the module below, and on where the crossing says so."""
        while below:
            here = below.pop()
            module, top = here.module, len(here.module.units) - 1
            caches = self._again(here) if here.entry is not None else here.caches
            onward = self.crosses.onward and here.lowest == 0 and module.first > 0
            for u in reversed(range(here.lowest, top + 1)):
                need = "both" if u > here.lowest or onward else "weights"
                error, g_glb = module.units[u].backward(error, caches.pop(u), self.p, need)
                self.take(self._weigh(here.own.pop(u), g_glb, top - u) if u in here.own else g_glb)
            if not onward:
                return

    def _weigh(self, g_loc: dict[str, Array], g_glb: dict[str, Array], j: int) -> dict[str, Array]:
        """g = a_j g_loc + b_j g_glb for the unit j steps below its module's top."""
        a, b = self.crosses.weights(j)
        return {name: a * g_loc[name] + b * g_glb[name] for name in g_loc}  # Eq. (6) with the factors of (4), (5)

    def _again(self, here: Waiting) -> dict[int, Any]:
        """The waiting units' caches, made again from the input that was kept. Commits nothing."""
        h, caches = here.entry, {}
        for u in range(here.lowest, len(here.module.units)):
            h, caches[u] = here.module.units[u].forward(h, self.run.at(here.module.first + u), self.p)
        here.entry = None
        return caches
