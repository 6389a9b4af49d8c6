"""Everything above and below each boundary, nudged in turn: who hears what, and after how many iterations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from minilocal.engine import Module
from minilocal.errors import UserError
from minilocal.layers import Conv, Flatten, GlobalAveragePool, Layer, Linear, Sequential
from minilocal.layers.initial import Initializer
from minilocal.layers.norm import BatchNormReLU
from minilocal.locality.perturb import Noted, PerturbedRun, Site, Subject, first_difference
from minilocal.nets import Net
from minilocal.rules.when import Asynchronous
from minilocal.streams import stream

Heard = dict[Site, int]  # {site: lag in iterations}


@dataclass(frozen=True)
class Influence:
    """What was heard of each nudge. `direct` with frozen weights; `felt` of the last loss's error, weights moving.

    `up` holds, for each boundary, the lags with which h_k arrived in module k+1 when it was nudged in several
    iterations: more than one number where the lag is random.
    """

    subject: Subject
    modules: list[Module]
    direct: dict[Site, Heard]
    up: list[tuple[int, ...]]
    felt: Heard

    @property
    def sizes(self) -> list[int]:
        """Units of each module."""
        return [len(m.units) for m in self.modules]

    def of(self, what: str, module: int, part: int | str) -> Heard:
        """What was heard of this nudge; nothing where there was nothing to nudge."""
        return self.direct.get(Site(what, module, part), {})  # type: ignore[arg-type]

    def above(self, module: int) -> dict[Site, Heard]:
        """What was heard of each nudge above this module."""
        return {site: lags for site, lags in self.direct.items() if site.module > module}


def first(lags: Heard, module: int, parts: Iterable[int | str]) -> int | None:
    """The earliest lag with which an update of these parts of a module heard it; None is never."""
    found = [lags[site] for part in parts if (site := Site("update", module, part)) in lags]
    return min(found, default=None)


def influence(subject: Subject) -> Influence:
    """All trials of one rule in one phase.

    Raises: UserError for fewer than two modules.
    """
    modules = subject.learner().modules
    K, rule = len(modules), subject.rule
    if K < 2:
        raise UserError("locality looks at boundaries, and one module has none: give 2 or more.")
    random = isinstance(rule.when, Asynchronous)
    start = rule.least_batches(K)  # by then all modules work; as long again, and a nudge has been everywhere
    span, starts = (5 * K, 6) if random else (start + 1, 2)
    batches = _batches(subject.net, start + starts + max(span, 2 * K + 2))
    subject, longer = replace(subject, batches=batches[: start + span]), replace(subject, batches=batches)

    plain = PerturbedRun(subject).run()
    direct = {
        site: first_difference(plain, PerturbedRun(subject, site, start).run(), start) for site in _sites(modules)
    }
    plain = PerturbedRun(longer).run()
    up = [_lags_up(longer, plain, k, range(start, start + starts)) for k in range(K - 1)]
    last = Site("error", K - 1, "objective")
    felt = first_difference(
        PerturbedRun(longer, moving=True).run(), PerturbedRun(longer, last, start, moving=True).run(), start
    )
    return Influence(subject, modules, direct, up, felt)


def toy_net(units: int = 7, channels: int = 6, size: int = 6, classes: int = 4) -> Net:
    """Equal units of a 3×3 convolution, batch norm and ReLU: what every objective and crossing is defined on."""
    initial, built = Initializer(3), list[Layer]()
    for u in range(units):
        conv = Conv(channels if u else 3, channels, 3, initial, pad=1, name=f"{u}.conv")
        built.append(Sequential([conv, BatchNormReLU(channels, initial, name=f"{u}.norm")], str(u)))
    head = [GlobalAveragePool("pool"), Flatten("flatten"), Linear(channels, classes, initial, name="fc", last=True)]
    return Net("tower", built, Sequential(head, "head"), classes, (size, size, 3), initial)


def _batches(net: Net, number: int) -> list[tuple[np.ndarray, np.ndarray]]:
    chance = stream(5, "locality")
    made = [(chance.standard_normal((3, *net.shape)), chance.integers(0, net.classes, 3)) for _ in range(number)]
    for _, y in made:
        y[1] = y[0]  # a contrast needs two of a class
    return made


def _sites(modules: list[Module]) -> list[Site]:
    """Everything that is nudged."""
    sites = []
    for k, module in enumerate(modules):
        for u, unit in enumerate(module.units):
            sites += [Site("activation", k, u), Site("error", k, u)] + [Site("weights", k, u)] * bool(unit.parameters)
        for part in ("objective", "synthesiser"):
            if (owner := getattr(module, part)) is None:
                continue
            sites += [Site("error", k, part)] + [Site("weights", k, part)] * bool(owner.parameters)
            if k < len(modules) - 1:
                sites += [Site("labels", k, part), Site("image", k, part)]
    return sites


def _lags_up(subject: Subject, plain: Noted, k: int, starts: range) -> tuple[int, ...]:
    """The lags that occur between h_k and what module k+1 makes of it."""
    top = Site("activation", k, len(subject.learner().modules[k].units) - 1)
    trials = [first_difference(plain, PerturbedRun(subject, top, start).run(), start) for start in starts]
    return tuple(sorted({lags[s] for lags in trials if (s := Site("activation", k + 1, 0)) in lags}))
