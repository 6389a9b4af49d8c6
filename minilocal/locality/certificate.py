"""What really crosses each boundary, measured and held to what the rule's answers say.

Everything that the modules above a boundary are made of is nudged in turn: the weights and the output of each unit,
the error that leaves it, the weights and the error of each objective and guess. With frozen weights, what then changes
below has come down, and the iterations until it does are its lag; the forward below must not change. The same nudges
below must be heard above. With moving weights, influence also travels through updates: `felt` says in which iteration
after the nudge each module's weights first feel the last loss, though it may not cross their boundary at all.

Locks, as in Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", said of what was measured:

    forward     kept if a module always works on what the module below makes in the same iteration
    update      kept if in every module some update needs all modules above to have gone forward in that iteration
    backward    kept if every update needs errors of that iteration from all modules above; "1 unit, 1 up": at most one
                unit of a module waits, for one module above; broken if none waits

To wait for the next module only is not to wait for all: that takes three modules to tell.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from minilocal.boundaries import Boundary
from minilocal.boundaries import open as everything
from minilocal.boundaries.delayed import DelayedBoundary
from minilocal.kernels.threads import threads, use_threads
from minilocal.locality.influence import Influence, first, influence, toy_net
from minilocal.locality.perturb import Site, Subject, owners
from minilocal.nets import Net
from minilocal.rules import Rule
from minilocal.rules.when import Asynchronous

EPOCHS = 1000  # how far a phase is looked for


@dataclass(frozen=True)
class Downward:
    """What of the modules above enters one module. A lag is in iterations; None is never."""

    units: int  # of the module that learn from it
    lag: int | None
    deep: int  # modules that the error leaving the next module goes on into
    topmost: bool = True  # are these units the last of the module?
    auxiliary: bool = False  # does the module's own auxiliary network learn from it?
    synthesiser: int | None = None  # the lag with which it teaches a guess


@dataclass(frozen=True)
class Locality:
    """One rule in one phase, measured."""

    rule: Rule
    phase: str  # "", "local epochs" or "global epochs"
    sizes: list[int]  # units of each module
    up: list[tuple[int, ...]]  # at each boundary, the lags with which h_k arrives
    down: list[Downward]  # at each boundary
    sources: tuple[str, ...]  # whose errors the main weights of module 1 learn from
    inputs: tuple[str, ...]  # what objectives and guesses below the last see besides h_k
    waiting: tuple[int, int]  # at most so many units of a module wait for errors, of so many modules above
    backward_kept: bool
    update_kept: bool
    added: int  # parameters beyond the network's own
    felt: tuple[int | None, ...]  # iterations until each module's weights feel the last loss, indirectly too
    disagreements: tuple[str, ...]  # with the rule's own answers

    @property
    def locks(self) -> tuple[str, str, str]:
        """The forward, the update and the backward lock."""
        units, modules = self.waiting
        some = f"{units} unit{'s' * (units > 1)}, {modules} up" if units else "broken"
        forward, update = all(lags == (0,) for lags in self.up), self.update_kept
        return _kept(forward), _kept(update), "kept" if self.backward_kept else some


def _kept(kept: bool) -> str:
    return "kept" if kept else "broken"


def measure(rule: Rule, net: Net | None = None, modules: int | Sequence[int] = 3) -> list[Locality]:
    """A rule's measured locality, for each phase that it has, on `net` (a small tower by default) cut into `modules`.

    Raises: UserError for fewer than two modules, and where rule, net and modules do not fit.
    """
    found = {rule.when.is_global(epoch): epoch for epoch in reversed(range(EPOCHS))}
    names = {False: "local epochs", True: "global epochs"} if len(found) > 1 else dict.fromkeys(found, "")
    before, net = threads(), net or toy_net()
    use_threads(1)  # the maps are too small to share
    try:
        subjects = [(names[phase], Subject(net, rule, modules, (), found[phase])) for phase in sorted(found)]
        return [_locality(phase, influence(subject)) for phase, subject in subjects]
    finally:
        use_threads(before)


def _locality(phase: str, seen: Influence) -> Locality:
    it, sizes = seen.subject.learner(), seen.sizes
    K, mine = len(sizes), owners(it)
    waits = _waits(seen)
    extra = [w for name, w in it.parameters().items() if mine[name][1] == "synthesiser" or mine[name] in _auxiliary(K)]
    down = [_downward(seen, k) for k in range(K - 1)]
    return Locality(
        seen.subject.rule, phase, sizes, seen.up, down, _sources(seen), _inputs(seen),
        waiting=(max(sum(bool(m) for m in module) for module in waits), max(m for module in waits for m in module)),
        backward_kept=all(m == K - 1 - k for k, module in enumerate(waits) for m in module),
        update_kept=all(max(module) == K - 1 - k for k, module in enumerate(waits)),
        added=sum(w.size for w in extra),
        felt=tuple(first(seen.felt, k, range(n)) for k, n in enumerate(sizes)),
        disagreements=tuple(_disagreements(seen, down)),
    )  # fmt: skip


def _auxiliary(K: int) -> list[tuple[int, str]]:
    """The objectives that are not the network's own head."""
    return [(k, "objective") for k in range(K - 1)]


def _downward(seen: Influence, k: int) -> Downward:
    """Which units, by any nudge above; when and how far, by the error that leaves the next module."""
    units, above, leaving = seen.sizes[k], seen.above(k).values(), seen.of("error", k + 1, 0)
    reached = [u for u in range(units) if any(Site("update", k, u) in lags for lags in above)]
    return Downward(
        units=len(reached),
        lag=first(leaving, k, range(units)),
        deep=sum(first(leaving, m, range(seen.sizes[m])) is not None for m in range(k + 1)),
        topmost=reached == list(range(units - len(reached), units)),
        auxiliary=any(Site("update", k, "objective") in lags for lags in above),
        synthesiser=first(leaving, k, ["synthesiser"]),
    )


def _sources(seen: Influence) -> tuple[str, ...]:
    """Whose errors the main weights of module 1 learn from."""
    K, main = len(seen.sizes), range(seen.sizes[0])
    names = {0: "own loss", 1: "next module's loss"} | {K - 1: "last loss"}
    found = [name for k, name in sorted(names.items()) if first(seen.of("error", k, "objective"), 0, main) is not None]
    return (*found, *["synthesiser"] * (first(seen.of("error", 0, "synthesiser"), 0, main) is not None))


def _inputs(seen: Influence) -> tuple[str, ...]:
    return tuple(w for w in ("labels", "image") if any(lags for site, lags in seen.direct.items() if site.what == w))


def _waits(seen: Influence) -> list[list[int]]:
    """For each unit of each module but the last, how many modules above its update needs in the same iteration."""
    return [
        [len({s.module for s, lags in seen.above(k).items() if lags.get(Site("update", k, u)) == 0}) for u in range(n)]
        for k, n in enumerate(seen.sizes[:-1])
    ]


def _deep(boundary: Boundary, sizes: list[int], k: int) -> int:
    """How many modules, from module k down, the rule lets the error into that leaves module k+1."""
    passed = list(
        itertools.takewhile(lambda n: boundary.sends(n)[1] != 0 and boundary.linked_units(n) == n, sizes[k:0:-1])
    )
    return 1 + len(passed)


def _disagreements(seen: Influence, down: list[Downward]) -> list[str]:
    """Where what was measured is not what the rule's answers say, and where a nudge was heard that cannot be."""
    rule, wrong = seen.subject.rule, []
    is_global = rule.when.is_global(seen.subject.epoch)
    boundary = everything() if is_global else rule.boundary
    late_up, late_down = (boundary.activations, boundary.errors) if isinstance(boundary, DelayedBoundary) else (0, 0)
    for k, measured in enumerate(down):
        where, synthesiser = f"boundary {k + 1}|{k + 2}", seen.modules[k].synthesiser is not None and not is_global
        units = sum(boundary.weights(j)[1] != 0 for j in range(boundary.linked_units(seen.sizes[k])))
        deep = _deep(boundary, seen.sizes, k) if units else 0
        said = Downward(units, late_down if units else None, deep, synthesiser=0 if synthesiser else None)
        if measured != said:
            wrong.append(f"{where}: measured {measured}, but the rule says {said}")
        if isinstance(rule.when, Asynchronous):
            if seen.up[k] in ((), (0,)):
                wrong.append(f"{where}: h_{k + 1} arrives after {seen.up[k]}, where a buffer makes that random")
        elif seen.up[k] != (late_up,):
            wrong.append(f"{where}: h_{k + 1} arrives after {seen.up[k]} iterations, but the rule says {late_up}")
        if any(s.what == "activation" and s.module <= k for lags in seen.above(k).values() for s in lags):
            wrong.append(f"{where}: something above changed the forward below")
        for u in range(seen.sizes[k]):
            if first(seen.of("activation", k, u), k + 1, range(seen.sizes[k + 1])) is None:
                wrong.append(f"{where}: module {k + 2} does not depend on unit {u + 1} of module {k + 1}")
    return wrong
