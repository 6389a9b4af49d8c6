"""All points of the page as data, made by the package: what JavaScript shows, and no more than it needs.

    networks    {name: title, shapes of its units, numbers of modules}
    rules       {name: title, auxiliary networks, whether it has α, its number with its values}
    variants    {variant: the rule in a line}
    cuts        {network/K: units and output bytes of each module, peaks of BP in three forms}
    points      {network/K/variant: a point; a text where another one is the same; or why there is none}
    errors      {network/K/variant: published and ours}

Bytes of modules and of messages are pairs, for each of `anchors` images; peaks are for each of `batches`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

from minilocal import nets, rules, streams
from minilocal.errors import UserError, unknown
from minilocal.explorer import choices, nbytes, schedule
from minilocal.explorer.boundary import errors_of, locks, messages
from minilocal.explorer.choices import CHOICES, NETWORKS, USUAL, Variant, variants
from minilocal.explorer.errors import Result, ours, published, results
from minilocal.learner import Learner
from minilocal.memory import GPU
from minilocal.nets import Net
from minilocal.nets.summary import by
from minilocal.parallel.simulate import Placement, simulate
from minilocal.parallel.simulate.counted import FLOAT, Counted
from minilocal.split import split

Data = dict[str, Any]


def data(
    networks: Sequence[str] = USUAL,
    folder: Path | None = None,
    on_point: Callable[[str], None] = lambda key: None,
) -> Data:
    """The data of all points of these networks. `folder` holds results of ours; `on_point` is called with each key.

    Raises: UserError for an unknown network, and for a folder without results.
    """
    for name in networks:
        if name not in NETWORKS:
            raise unknown("network", name, NETWORKS)
    content: Data = {
        "batches": choices.BATCHES,
        "anchors": nbytes.ANCHORS,
        "schedule": {
            "images": schedule.IMAGES, "rate": schedule.RATE, "bandwidth": schedule.LINK.bandwidth,
            "latency": schedule.LINK.latency, "ticks": schedule.TICKS, "kinds": schedule.KINDS,
        },
        "rules": {name: _rule(choice) for name, choice in CHOICES.items()},
        "variants": {variant.key: variant.rule().describe() for variant in variants()},
        "networks": {}, "cuts": {}, "points": {}, "errors": {},
    }  # fmt: skip
    rows = results(folder)
    for name in networks:
        _add_network(content, Points(name), rows, on_point)
    return content


def _rule(choice: choices.Choice) -> Data:
    number = {} if choice.slider is None else {"number": choice.slider.title, "values": choice.slider.values}
    return {"title": choice.title, "aux": choice.aux, "linked": choice.linked, **number}


def _add_network(content: Data, points: Points, rows: Sequence[Result], on_point: Callable[[str], None]) -> None:
    name, net = points.name, points.net
    counts = choices.counts(len(net.units))
    content["networks"][name] = {"title": NETWORKS[name], "shapes": [by(s) for s in net.shapes], "counts": counts}
    for K in counts:
        content["cuts"][f"{name}/{K}"] = points.cut(K)
        for variant in variants():
            key = f"{name}/{K}/{variant.key}"
            on_point(key)
            same = variant.same_as(points.sizes(K))
            content["points"][key] = points.point(K, variant) if same == variant else f"{name}/{K}/{same.key}"
            settings = (same if same.name == "gll" else variant).settings(name, K)
            printed, own = published(settings, K), ours(rows, settings, K)
            if printed or own:
                content["errors"][key] = {"published": printed, "ours": own}


class Points:
    """The points of one network."""

    def __init__(self, name: str) -> None:
        self.name, self.net, self.machine = name, network(name), GPU()
        self.bp = simulate(self._placement(self._learner(rules.bp(), 1), False)).step

    def sizes(self, K: int) -> list[int]:
        """The number of units of each module."""
        return split.sizes(len(self.net.units), K)

    def cut(self, K: int) -> Data:
        """What all rules share at K modules: sizes, bytes of each output for one image, and peaks of BP."""
        sizes = self.sizes(K)
        tops = [sum(sizes[: k + 1]) - 1 for k in range(K)]
        outputs = [FLOAT * prod(self.net.shapes[top]) for top in tops]
        return {"sizes": sizes, "outputs": outputs, "baselines": nbytes.baselines(self.net, sizes, self.machine)}

    def point(self, K: int, variant: Variant) -> Data:
        """The point of a variant at K modules; {"why": a sentence} where the rule cannot be built on them."""
        rule, epoch, sizes = variant.rule(), variant.epoch(), self.sizes(K)
        try:
            learner = self._learner(rule, K)
        except UserError as error:
            return {"why": str(error)}
        learner.epoch = epoch
        place = self._placement(learner, variant.choice.is_global)
        return {
            "errors": errors_of(learner),
            "messages": [messages(self._placement(learner, place.is_global, images)) for images in nbytes.ANCHORS],
            "locks": locks(rule, sizes, epoch),
            "lags": rule.boundary.lags,
            "notes": rule.warnings(sizes, self.net.shapes),
            **nbytes.kept(learner),
            "total": nbytes.peaks(self.net, rule, sizes, self.machine, epoch),
            **schedule.schedule_of(place, self.bp),
        }

    def _learner(self, rule: rules.Rule, K: int) -> Learner:
        with warnings.catch_warnings(action="ignore"):  # they are notes of the point
            return Learner(self.net, rule, K, rng=streams.rng(0), device=self.machine.library)

    def _placement(self, learner: Learner, is_global: bool, images: int = schedule.IMAGES) -> Placement:
        costs = Counted(self.net, images, schedule.RATE).modules(learner.modules)
        return Placement(learner.rule, costs, is_global=is_global)


def network(name: str) -> Net:
    """The network for CIFAR-10's images."""
    return nets.get(name, rng=streams.rng(0))
