"""Perturb every site above and below each boundary in turn: what it influences, and after how many iterations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minilocal.engine import Module
from minilocal.engine.hooks import Part
from minilocal.errors import UserError
from minilocal.layers import Conv, Flatten, GlobalAveragePool, Layer, Linear, Sequential
from minilocal.layers.initial import Initializer
from minilocal.layers.norm import BatchNormReLU
from minilocal.layers.with_context import sources_of
from minilocal.locality.perturb import Hashes, PerturbedRun, Site, Subject, What, first_difference
from minilocal.nets import Net
from minilocal.streams import stream

Lags = dict[Site, int]  # {influenced site: lag in iterations}


@dataclass(frozen=True)
class Influence:
    """The lags with which each perturbation reaches other sites.

    `direct` is of every perturbed site, with frozen weights. `influence_of_updates` is of the last loss's error, with
    weights that move. `activation_lags` holds, for each boundary, the lags of h_k in module k+1 over perturbations of
    several iterations: more than one number where the lag is random.
    """

    subject: Subject
    modules: list[Module]
    direct: dict[Site, Lags]
    activation_lags: list[tuple[int, ...]]
    influence_of_updates: Lags

    @property
    def sizes(self) -> list[int]:
        """Units of each module."""
        return [len(m.units) for m in self.modules]

    def of(self, what: What, module: int, part: Part) -> Lags:
        """The lags of this perturbation; none where there is no such site."""
        return self.direct.get(Site(what, module, part), {})

    def above(self, module: int) -> dict[Site, Lags]:
        """The lags of each perturbation above this module."""
        return {site: lags for site, lags in self.direct.items() if site.module > module}


def earliest_update(lags: Lags, module: int, parts: Iterable[Part]) -> int | None:
    """The least lag of an update of these parts of a module; None where none is influenced."""
    reached = [lags[site] for part in parts if (site := Site("update", module, part)) in lags]
    return min(reached, default=None)


def influence(subject: Subject) -> Influence:
    """Run all perturbations of one rule in one phase.

    Raises: UserError for fewer than two modules.
    """
    modules = subject.learner().modules
    K, rule = len(modules), subject.rule
    if K < 2:
        raise UserError("locality looks at boundaries, and one module has none: give 2 or more.")
    random = rule.when.engine == "asynchronous"
    start = rule.least_batches(K)  # by then every module has been updated; as long again, and all lags have passed
    turns = (
        1 if rule.boundary.averages is None else rule.boundary.averages.every
    )  # iterations from one crossing of weights to the next
    span, starts = (5 * K, 6) if random else (max(start, turns) + 1, 2)
    batches = _batches(subject.net, start + starts + max(span, turns * (2 * K + 2)))
    subject, longer = replace(subject, batches=batches[: start + span]), replace(subject, batches=batches)

    plain = PerturbedRun(subject).run()
    direct = {
        site: first_difference(plain, PerturbedRun(subject, site, start).run(), start) for site in _sites(modules)
    }
    plain = PerturbedRun(longer).run()
    activation_lags = [_activation_lags(longer, plain, k, range(start, start + starts)) for k in range(K - 1)]
    last = Site("error", K - 1, "objective")
    influence_of_updates = first_difference(
        PerturbedRun(longer, moving=True).run(), PerturbedRun(longer, last, start, moving=True).run(), start
    )
    return Influence(subject, modules, direct, activation_lags, influence_of_updates)


def toy_net(units: int = 7, channels: int = 6, size: int = 6, classes: int = 4) -> Net:
    """Equal units of a 3×3 convolution, batch norm and ReLU: every objective and boundary is defined on them."""
    initial, built = Initializer(3), list[Layer]()
    for u in range(units):
        conv = Conv(channels if u else 3, channels, 3, initial, pad=1, name=f"{u}.conv")
        layers: list[Layer] = [conv, BatchNormReLU(channels, initial, name=f"{u}.norm")]
        built.append(Sequential(layers, str(u)))
    head: list[Layer] = [
        GlobalAveragePool("pool"),
        Flatten("flatten"),
        Linear(channels, classes, initial, name="fc", last=True),
    ]
    return Net("tower", built, Sequential(head, "head"), classes, (size, size, 3), initial)


def _batches(net: Net, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Random batches of three images."""
    random = stream(5, "locality")
    batches = [(random.standard_normal((3, *net.shape)), random.integers(0, net.classes, 3)) for _ in range(number)]
    for _, y in batches:
        y[1] = y[0]  # a contrastive loss is 0 without two images of one class
    return batches


def _sites(modules: list[Module]) -> list[Site]:
    """Every site that is perturbed."""
    sites = []
    for k, module in enumerate(modules):
        for u, unit in enumerate(module.units):
            sites += [Site("activation", k, u), Site("error", k, u)] + [Site("weights", k, u)] * bool(unit.parameters)
        sites += [Site(source, k, 0) for source in sources_of(module.units[0])]
        parts: dict[Part, Any] = {"objective": module.objective, "synthesiser": module.synthesiser}
        for part, owner in parts.items():
            if owner is None:
                continue
            sites += [Site("error", k, part)] + [Site("weights", k, part)] * bool(owner.parameters)
            if k < len(modules) - 1:
                sites += [Site("labels", k, part), Site("image", k, part)]
    return sites


def _activation_lags(subject: Subject, plain: Hashes, k: int, starts: range) -> tuple[int, ...]:
    """The lags that occur between h_k and the first activation of module k+1."""
    top = Site("activation", k, len(subject.learner().modules[k].units) - 1)
    runs = [first_difference(plain, PerturbedRun(subject, top, start).run(), start) for start in starts]
    return tuple(sorted({lags[s] for lags in runs if (s := Site("activation", k + 1, 0)) in lags}))
