"""The schedule of a panel's rules on K devices, as a Gantt chart: which of them wait for each other.

It is simulated from multiply-adds at a stated rate and from stated links, so it is a function of the configuration, and
nothing is measured for it. All rules have one time axis: those that lock stand beside those that do not.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import Any

from minilocal import draw
from minilocal.errors import UserError
from minilocal.memory.abstract_array import AbstractNamespace
from minilocal.parallel.simulate import Link, Placement, Schedule, simulate
from minilocal.parallel.simulate.counted import Counted
from minilocal.report.bytes import images_of, learner_for
from minilocal.report.document import Picture
from minilocal.report.groups import Group, Panel, modules

RATE = 5e10  # multiply-adds a second: a processor core at its peak
LINK = Link()  # of two MPI ranks on one machine
MOST_RULES, MOST_ROWS = 6, 64
SHOWN = 1.4  # of the longest step
WIDTH, ROW = 4.7, 0.13  # inches: of the figure, of a device
BELOW: Any = "outside lower left"
KEYS = ("rule.", "net.", "optim.batch_size")  # what a schedule depends on


@dataclass(frozen=True)
class Simulated:
    """The schedule of one group of a panel, and its name in the chart."""

    group: Group
    name: str
    schedule: Schedule


def gantt(panel: Panel) -> list[Picture]:
    """A chart of a panel's rules at its most frequent number of modules; none where all have one module."""
    counts = Counter(K for group in panel.groups if (K := modules(group)) > 1)
    if not counts:
        return []
    K = max(counts, key=lambda number: (counts[number], number))
    groups = _different([group for group in panel.groups if modules(group) == K])
    simulated, remarks = list[Simulated](), list[str]()
    for group in _every_rule_first(groups):
        if len(simulated) == min(MOST_RULES, max(2, MOST_ROWS // K)):
            remarks.append(f"{group.name} is left out, for want of room")
            continue
        try:
            simulated.append(_simulated(group))
        except UserError as error:
            remarks.append(f"{group.name} cannot be simulated: {str(error).rstrip('.')}")
    simulated.sort(key=lambda each: groups.index(each.group))
    if not simulated:
        return []
    title = f"{panel.title}: a step on {K} devices"
    return [Picture(f"schedule-{panel.name}", _figure(simulated, K, title), _caption(groups, K, remarks))]


def _different(groups: list[Group]) -> list[Group]:
    """The first group of each schedule: groups that differ in a learning rate have the same one."""
    first: dict[str, Group] = {}
    for group in groups:
        first.setdefault(str([(k, v) for k, v in sorted(group.settings.items()) if k.startswith(KEYS)]), group)
    return list(first.values())


def _every_rule_first(groups: list[Group]) -> list[Group]:
    """One group of each rule, then a second one of each, ..."""
    number = [sum(other.rule == group.rule for other in groups[:i]) for i, group in enumerate(groups)]
    return [groups[i] for i in sorted(range(len(groups)), key=lambda i: number[i])]


def _simulated(group: Group) -> Simulated:
    """The schedule of a group, one module a device; of a rule with global epochs that of a local one.

    Raises: UserError where it cannot be simulated.
    """
    config = group.first.config
    learner = learner_for(config, images_of(group), AbstractNamespace())
    images = -(-config.optim.batch_size // learner.rule.accumulate)
    costs = Counted(learner.net, images, RATE).modules(learner.modules)
    K = len(learner.modules)
    schedule = simulate(Placement(learner.rule, costs), LINK, steps=2 * K + 2)
    return Simulated(group, group.name + " (local epochs)" * learner.rule.when.guided, schedule)


def _figure(simulated: list[Simulated], K: int, title: str) -> draw.Figure:
    """All charts over one time axis: K rows for each rule, with an empty one between two rules."""
    until = SHOWN * max(each.schedule.step for each in simulated)
    bars = [
        bar._replace(device=bar.device + rule * (K + 1))
        for rule, each in enumerate(simulated)
        for bar in each.schedule.bars_until(until)
    ]
    rows = len(simulated) * (K + 1) - 1
    figure = draw.gantt(bars, [""] * rows, until=until, title=title)
    (axes,) = figure.axes
    places = [rule * (K + 1) + (K - 1) / 2 for rule in range(len(simulated))]
    axes.set_yticks(places, [textwrap.fill(each.name, 18) for each in simulated])
    axes.set_title(textwrap.fill(title, 34), loc="left")
    if (legend := axes.get_legend()) is not None:  # which is wider than this figure
        handles = [handle for handle in legend.legend_handles if handle is not None]
        figure.legend(handles, [text.get_text() for text in legend.get_texts()], ncols=3, frameon=False, loc=BELOW)
        legend.remove()
    for text in axes.texts:
        text.set_visible(False)  # batches' numbers, which have no room here
    figure.set_size_inches(WIDTH, 1.7 + ROW * rows)
    steps = [f"{each.name} {1e3 * each.schedule.step:.3g} ms, {_work(each):.0%}" for each in simulated]
    figure.alt = f"{title}. Time of a step, and the mean share of it in which a device works: {'; '.join(steps)}."
    return figure


def _work(simulated: Simulated) -> float:
    """The mean share of a step in which a device works."""
    return sum(simulated.schedule.busy) / len(simulated.schedule.busy)


def _caption(groups: list[Group], K: int, remarks: list[str]) -> str:
    batches = " or ".join(map(str, sorted({group.settings["optim.batch_size"] for group in groups})))
    text = (
        f"What {K} devices do, one module each, in steps of {batches} images: simulated, not measured, from "
        f"multiply-adds at {RATE / 1e9:g}·10⁹ a second and links of {LINK.bandwidth / 1e9:g} GB/s and "
        f"{1e6 * LINK.latency:g} µs. A colour is a batch. White is waiting."
    )
    return " ".join([text, *(f"{remark}." for remark in remarks)])
