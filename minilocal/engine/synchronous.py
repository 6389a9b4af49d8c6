"""One step of any rule without delays: activations climb, objectives speak, errors come down, and what no error can
reach any more is let go.

    for every module k, bottom to top
        h_k = f_k(h_{k-1})                                      climb
        L_k, e_k = objective of h_k; or e_k is guessed          speak
        e_k walks down all units of module k                    own error
        what arrives at its bottom, E_k, is handed to the module below, which was waiting for it:
            it walks down as many units as the crossing lets it, and there
            g = a_j g_loc + b_j g_glb                           weigh
            where the crossing says so it goes on into the next module below: backpropagation, or a link whose total
            error a E_k + b E_gl is wanted there; then module k, too, waits with its E_k

A backward is linear in its error, so every error takes its own walk, and two walks leave two gradients that can be
weighed. A unit's cache is dropped as soon as its last error has passed: BP holds every module until the last loss,
GLL one module, BackLink one module and the linked units of the one below. An error is dropped as soon as it has become
the next one: it is handed on in a list of one, `carried`, so that nobody above holds what has passed.

Gradients are handed to `take` unit by unit, as soon as they are final; whoever takes them may update the weights at
once, since no later walk of this step reads them again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minilocal.array import Array, namespace
from minilocal.boundaries import all as everything
from minilocal.engine.memory_advice import savings
from minilocal.engine.module import Caches, Module, Saved, Take
from minilocal.engine.out_of_memory import OutOfMemory, shortage
from minilocal.errors import UserError
from minilocal.layers import Run
from minilocal.layers.base import Shape
from minilocal.objectives import Batch
from minilocal.rules.compose import Rule


@dataclass
class Waiting:
    """A module that an error from above may still reach: what is kept until then."""

    module: Module
    lowest: int  # the lowest unit that waits
    caches: Caches = field(default_factory=dict)
    entry: Array | None = None  # with keep="inputs", the input of unit `lowest` instead of the caches
    own: dict[int, dict[str, Array]] = field(default_factory=dict)  # g_loc of the units that wait
    bottom: Array | None = None  # E_k of its own loss, where the module below wants the total error
    guessed: Any = None  # the cache of the guess, which the error from above will teach


class Together:
    """The engine of rules whose errors arrive in the step that made them. It holds nothing between steps."""

    delayed = False

    def __init__(self, modules: list[Module], rule: Rule, arrays: Mapping[str, Array]) -> None:
        self.modules, self.rule, self.arrays = modules, rule, arrays

    @property
    def waiting(self) -> list[int]:
        """Nothing waits between steps."""
        return [0] * len(self.modules)

    def step(self, batch: Batch, run: Run, take: Take, commit: bool) -> Array:
        """Losses (K,), float64, NaN where a module has none; every gradient has gone to `take`.

        Raises: UserError where memory does not suffice; with `take` updating, some modules have been updated then.
        """
        try:
            return _Step(self, run, take, commit).learn(batch)
        except (MemoryError, OutOfMemory) as error:
            told = error if isinstance(error, OutOfMemory) else shortage(error, "update")
            onward = self.rule.crosses.onward or self.rule.when.is_global(run.epoch)
        raise OutOfMemory(f"{told} {savings(self.modules, batch.x, self.arrays, onward)}".strip())

    def finish(self, take: Take) -> None:
        """Nothing is in flight."""

    def state(self) -> dict[str, np.ndarray]:
        """Nothing is in flight."""
        return {}

    def restore(self, saved: Saved, image: Shape) -> None:
        """Nothing is in flight.

        Raises: UserError where something was.
        """
        if saved:
            raise UserError(f"a checkpoint with batches in flight met {self.rule.name}, which has none: take its rule.")


class _Step:
    """The parts of one step over one batch; `learn` runs them in order."""

    def __init__(self, engine: Together, run: Run, take: Take, commit: bool) -> None:
        self.modules, self.rule, self.p = engine.modules, engine.rule, engine.arrays
        self.run, self.take, self.commit = run, take, commit
        self.is_global = self.rule.when.is_global(run.epoch)
        self.crosses = everything() if self.is_global else self.rule.crosses  # PGL, Eq. (3)

    def learn(self, batch: Batch) -> Array:
        xp = namespace(batch.x)
        losses = xp.full(len(self.modules), float("nan"), xp.float64)
        below: list[Waiting] = []  # bottom to top
        h = batch.x
        for k, module in enumerate(self.modules):
            last = k == len(self.modules) - 1
            h, here, caches = self._climb(module, h, last)
            error = None
            if module.objective is not None:
                # PGL: Eq. (2) asks for w_k and γ_k; in a global epoch Eq. (4) for γ_k alone, and Eq. (3) for w by L_K
                local: Any = "both" if last or not self.is_global else "weights"
                losses[k], error, grads = module.speak(h, batch, self.run, self.p, self.commit, local)
                self.take(grads)
                del grads
            if module.guess is not None:
                error, here.guessed = module.guess.forward(h, batch, self.run.at(module.top), self.p)
                if self.commit:
                    module.guess.commit(here.guessed, self.p)
            if error is None:
                below.append(here)
                continue
            if last:
                del h  # nobody climbs on it
            carried = [error]
            del error
            self._own_error(module, caches, carried, here)
            del caches
            if not last:
                self._hand_down(carried, here)
            if here.bottom is None:
                self._from_above(below, carried)
            if here.lowest < len(module.units) or here.guessed is not None:
                below.append(here)
            del carried
        return losses

    def _climb(self, module: Module, h: Array, last: bool) -> tuple[Array, Waiting, Caches]:
        """h_k = f_k(h_{k-1}), what the module will wait with, and the caches that walks will need."""
        here = Waiting(module, len(module.units) - (0 if last else self.crosses.reach(len(module.units))))
        walks_now = last or module.guess is not None or (module.objective is not None and not self.is_global)
        caches = {}
        for u in range(len(module.units)):
            if u == here.lowest and self.rule.keep == "inputs":
                here.entry = h
            h, cache = module.forward(u, h, self.run, self.p, self.commit)
            if walks_now or self.rule.keep == "caches":
                caches[u] = cache
            del cache
        if self.rule.keep == "caches":
            here.caches = {u: c for u, c in caches.items() if u >= here.lowest}
        return h, here, caches

    def _own_error(self, module: Module, caches: Caches, carried: list[Array | None], here: Waiting) -> None:
        """e_k walks down the whole module; what arrives at its bottom is E_k, None where nobody listens below."""

        def each(u: int, grads: dict[str, Array]) -> None:
            if u >= here.lowest:
                here.own[u] = grads  # final only when the error from above has been weighed in
            else:
                self.take(grads)

        onward = module.first > 0 and self.crosses.listens
        carried.append(module.walk(carried.pop(), caches, self.p, onward, each))

    def _from_above(self, below: list[Waiting], carried: list[Array | None]) -> None:
        """The error teaches the guess of the module below, walks down its waiting units, and on where it may."""
        while below:
            here = below.pop()
            module, top = here.module, len(here.module.units) - 1
            if here.guessed is not None:
                assert module.guess is not None
                self.take(module.guess.learn(here.guessed, carried[0], self.p))
            if here.lowest > top:
                return
            caches = here.caches if here.entry is None else self._again(here)
            a, b = self.crosses.sends(len(module.units))
            onward = b != 0 and here.lowest == 0 and module.first > 0

            def each(u: int, g_glb: dict[str, Array], here: Waiting = here, top: int = top) -> None:
                self.take(self._weigh(here.own.pop(u), g_glb, top - u) if u in here.own else g_glb)

            carried.append(module.walk(carried.pop(), caches, self.p, onward, each, here.lowest))
            if not onward:
                return
            if here.bottom is not None:
                error: Any = carried.pop()
                carried.append(a * here.bottom + b * error)  # δ_lc + δ_gl at the module's first unit
                here.bottom = None
                del error

    def _hand_down(self, carried: list[Array | None], here: Waiting) -> None:
        """What leaves a module below the last for the one below it: a times its own error, at once, or in `bottom`."""
        a, b = self.crosses.sends(len(here.module.units))
        if carried[0] is not None and b != 0:
            here.bottom = carried.pop()
        elif carried[0] is not None and a != 1:
            carried[0] = a * carried[0]

    def _weigh(self, g_loc: dict[str, Array], g_glb: dict[str, Array], j: int) -> dict[str, Array]:
        """g = a_j g_loc + b_j g_glb for the unit j steps below its module's top, in the place of g_loc."""
        a, b = self.crosses.weights(j)
        for name, g in g_loc.items():
            other = g_glb.pop(name)
            g *= a
            other *= b
            g += other  # Eq. (6) with the factors of (4), (5)
        return g_loc

    def _again(self, here: Waiting) -> Caches:
        """The waiting units' caches, made again from the input that was kept. Commits nothing."""
        entry, here.entry = here.entry, None
        return here.module.climb(entry, self.run, self.p, False, here.lowest)[1]
