"""What crosses each boundary, measured by perturbation and compared with the rule's own answers.

Everything above a boundary is perturbed in turn: the weights and the output of each unit, the error at its input, the
weights and the error of each objective and synthesiser. With frozen weights, any difference below the boundary was
carried by an error, or by weights that cross themselves (MAN); its lag is the number of iterations until it appears.
Forward activations below must not differ, and those above must. With moving weights, influence also travels through
updates: `influence_of_updates` is the number of iterations until each module's weights depend on the last loss, even
where its error never crosses their boundary.

Locks, as in Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", are read off the measurement:

    forward     kept if a module always forwards what the module below computed in the same iteration
    update      kept if in every module some update needs the forward of all modules above in that iteration
    backward    kept if every update needs errors of that iteration from all modules above; "1 unit, 1 up": at most one
                unit of a module needs such an error, from one module above; broken if none does

An error from the next module only does not keep the backward lock. To tell the two apart takes three modules.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minilocal import boundaries
from minilocal.boundaries import Boundary
from minilocal.engine.hooks import Part
from minilocal.inputs import training_rule
from minilocal.kernels.threads import using_threads
from minilocal.locality.influence import Influence, earliest_update, influence, toy_net
from minilocal.locality.locks import backward_kept, forward_kept, update_kept
from minilocal.locality.perturb import Site, Subject
from minilocal.nets import Net
from minilocal.rules import Rule

EPOCHS = 1000  # a phase that begins later is not found


@dataclass(frozen=True)
class ErrorPath:
    """The errors of the modules above that enter one module. A lag is in iterations; None is never."""

    units: int  # of the module that learn from them
    lag: int | None
    depth: int  # modules that the error leaving the next module enters
    topmost: bool = True  # these units are the last of the module
    auxiliary: bool = False  # the module's own auxiliary network learns from them
    synthesiser_lag: int | None = None  # with which the module's synthesiser learns from them
    weights_lag: int | None = None  # with which the next module's first weights enter, where they cross themselves


@dataclass(frozen=True)
class Locality:
    """The measured locality of one rule in one phase."""

    rule: Rule
    phase: str  # "", "local epochs" or "global epochs"
    sizes: list[int]  # units of each module
    activation_lags: list[tuple[int, ...]]  # at each boundary, the lags with which h_k arrives
    error_paths: list[ErrorPath]  # at each boundary
    learns_from: tuple[str, ...]  # the losses whose errors train the main weights of module 1
    contexts: tuple[str, ...]  # what crosses upward besides h_k, encoded at the input of a module
    sees: tuple[str, ...]  # the inputs of objectives and synthesisers below the last module, besides h_k
    waits: tuple[int, int]  # at most (units of a module) need errors of the same iteration, from (modules above)
    backward_kept: bool
    update_kept: bool
    added_parameters: int  # parameters beyond the network's own
    influence_of_updates: tuple[int | None, ...]  # iterations until each module's weights depend on the last loss
    disagreements: tuple[str, ...]  # with the rule's own answers

    @property
    def locks(self) -> tuple[str, str, str]:
        """The forward, the update and the backward lock: each kept, broken, or for the backward how much waits.

        Of Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", 2017.
        """
        units, modules = self.waits
        backward = f"{units} unit{'s' * (units > 1)}, {modules} up" if units else "broken"
        return (
            _lock(forward_kept(self.activation_lags)),
            _lock(self.update_kept),
            "kept" if self.backward_kept else backward,
        )


def _lock(kept: bool) -> str:
    return "kept" if kept else "broken"


def measure(
    rule: Rule, net: Net | None = None, modules: int | Sequence[int] = 3, *, device: Any = "cpu"
) -> list[Locality]:
    """The locality of a rule in each of its phases, on `net` (`toy_net()` by default) cut into `modules`.

    On a device it is that of the kernels there: each array is copied to the host for its hash.

    Raises: UserError for anything but a rule, for fewer than two modules, where rule, net and modules do not fit, and
    for a device that is not there.
    """
    rule = training_rule(rule)
    net = net or toy_net()
    with using_threads(1):  # the maps are too small to share
        return [
            _locality(phase, influence(Subject(net, rule, modules, (), epoch, device)))
            for phase, epoch in phases(rule).items()
        ]


def phases(rule: Rule) -> dict[str, int]:
    """{phase: its first epoch}: "local epochs" and "global epochs", or "" where all epochs are alike.

    Raises: UserError for anything but a rule.
    """
    rule = training_rule(rule)
    first = {rule.when.is_global(epoch): epoch for epoch in reversed(range(EPOCHS))}
    names = {False: "local epochs", True: "global epochs"} if len(first) > 1 else dict.fromkeys(first, "")
    return {names[kind]: first[kind] for kind in sorted(first)}


def _locality(phase: str, measured: Influence) -> Locality:
    learner, sizes = measured.subject.learner(), measured.sizes
    K, own = len(sizes), learner.net.parameters()
    needs = _modules_needed(measured)
    paths = [_error_path(measured, k) for k in range(K - 1)]
    return Locality(
        measured.subject.rule, phase, sizes, measured.activation_lags, paths, _learns_from(measured),
        _contexts(measured), _sees(measured),
        waits=(max(sum(bool(m) for m in module) for module in needs), max(m for module in needs for m in module)),
        backward_kept=backward_kept(needs),
        update_kept=update_kept(needs),
        added_parameters=sum(w.size for name, w in learner.parameters().items() if name not in own),
        influence_of_updates=tuple(
            earliest_update(measured.influence_of_updates, k, range(n)) for k, n in enumerate(sizes)
        ),
        disagreements=tuple(_disagreements(measured, paths)),
    )  # fmt: skip


def _error_path(measured: Influence, k: int) -> ErrorPath:
    """What enters module k: its units by any perturbation above, lag and depth by the error leaving the next module.

    Weights cross where those of the next unit enter the objective, or where no error comes the units: then that
    perturbation says nothing of errors.
    """
    units, leaving = measured.sizes[k], measured.of("error", k + 1, 0)
    lag = earliest_update(leaving, k, range(units))
    weights_lag = earliest_update(measured.of("weights", k + 1, 0), k, _without_errors(units, lag))
    of_weights = None if weights_lag is None else Site("weights", k + 1, 0)
    above = [lags for site, lags in measured.above(k).items() if site != of_weights]
    reached = [u for u in range(units) if any(Site("update", k, u) in lags for lags in above)]
    return ErrorPath(
        units=len(reached),
        lag=lag,
        depth=sum(earliest_update(leaving, m, range(measured.sizes[m])) is not None for m in range(k + 1)),
        topmost=reached == list(range(units - len(reached), units)),
        auxiliary=any(Site("update", k, "objective") in lags for lags in above),
        synthesiser_lag=earliest_update(leaving, k, ["synthesiser"]),
        weights_lag=weights_lag,
    )


def _without_errors(units: int, lag: int | None) -> list[Part]:
    """The parts of a module of `units` units that no error from above enters: its units too, where that has no lag."""
    return ["objective", *range(units if lag is None else 0)]


def _learns_from(measured: Influence) -> tuple[str, ...]:
    """The losses, and the synthesiser, whose errors train the main weights of module 1."""
    K, units = len(measured.sizes), range(measured.sizes[0])
    names = {k: f"loss {k} up" for k in range(K)} | {0: "own loss", 1: "next module's loss"} | {K - 1: "last loss"}
    errors = {name: measured.of("error", k, "objective") for k, name in sorted(names.items())}
    errors["synthesiser"] = measured.of("error", 0, "synthesiser")
    return tuple(name for name, lags in errors.items() if earliest_update(lags, 0, units) is not None)


def _sees(measured: Influence) -> tuple[str, ...]:
    """Whether labels and images influence anything through an objective or synthesiser below the last module."""
    sites = [site.what for site, lags in measured.direct.items() if lags and isinstance(site.part, str)]
    return tuple(what for what in ("labels", "image") if what in sites)


def _contexts(measured: Influence) -> tuple[str, ...]:
    """Whether the image, and the input of the module below, influence anything through a context."""
    sites = [site.what for site, lags in measured.direct.items() if lags and isinstance(site.part, int)]
    return tuple(what for what in ("image", "below") if what in sites)


def _answered(rule: Rule, modules: int) -> tuple[str, ...]:
    """The same by the rule's own answer; of two modules, "both" encode the image alone."""
    source = rule.context.source
    both = ("image", "below") if modules > 2 else ("image",)
    return {"none": (), "image": ("image",), "below": ("below",), "both": both}[source]


def _modules_needed(measured: Influence) -> list[list[int]]:
    """For each unit of each module but the last, the modules above that influence its update in the same iteration."""
    return [
        [
            len({s.module for s, lags in measured.above(k).items() if lags.get(Site("update", k, u)) == 0})
            for u in range(units)
        ]
        for k, units in enumerate(measured.sizes[:-1])
    ]


def _depth(boundary: Boundary, sizes: list[int], k: int) -> int:
    """The modules, from module k down, that the error leaving module k+1 enters by the boundary's answers."""
    sources = [boundary.learns_from(m, len(sizes) - 1) for m in range(k + 1)]
    if (own := sources[-1]) is not None:
        return sum(source > k for source in sources if source is not None) if own > k else 0
    passed = itertools.takewhile(lambda n: boundary.sends(n)[1] != 0 and boundary.linked_units(n) == n, sizes[k:0:-1])
    return 1 + len(list(passed))


def _disagreements(measured: Influence, paths: list[ErrorPath]) -> list[str]:
    """Where the measurement contradicts the rule's answers, and where something influences what it cannot."""
    rule, sizes, wrong = measured.subject.rule, measured.sizes, []
    is_global = rule.when.is_global(measured.subject.epoch)
    boundary = boundaries.open() if is_global else rule.boundary
    activation_lag, error_lag = boundary.lags
    if (contexts := _contexts(measured)) != (expected := _answered(rule, len(sizes))):
        wrong.append(f"contexts: measured {contexts}, but the rule says {expected}")
    for k, path in enumerate(paths):
        where, lags = f"boundary {k + 1}|{k + 2}", measured.activation_lags[k]
        predicts = measured.modules[k].synthesiser is not None and not is_global
        units = sum(boundary.weights(j)[1] != 0 for j in range(boundary.linked_units(sizes[k])))
        depth = _depth(boundary, sizes, k) if units else 0
        promised = ErrorPath(
            units, error_lag if units else None, depth, synthesiser_lag=0 if predicts else None,
            weights_lag=None if rule.boundary.averages is None else rule.boundary.averages.every,
        )  # fmt: skip
        if path != promised:
            wrong.append(f"{where}: measured {path}, but the rule says {promised}")
        if rule.when.engine == "asynchronous":
            if lags in ((), (0,)):
                wrong.append(f"{where}: h_{k + 1} arrives after {lags}, where a buffer makes that random")
        elif lags != (activation_lag,):
            wrong.append(f"{where}: h_{k + 1} arrives after {lags} iterations, but the rule says {activation_lag}")
        if any(s.what == "activation" and s.module <= k for reached in measured.above(k).values() for s in reached):
            wrong.append(f"{where}: something above changed the forward below")
        for u in range(sizes[k]):
            if earliest_update(measured.of("activation", k, u), k + 1, range(sizes[k + 1])) is None:
                wrong.append(f"{where}: module {k + 2} does not depend on unit {u + 1} of module {k + 1}")
    return wrong
