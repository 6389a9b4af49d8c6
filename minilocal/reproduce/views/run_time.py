"""The time of a training step on K devices, simulated from units that are timed on this machine: BackLink, Fig. 9.

A device has one module and one thread, and a link to each of its neighbours (`parallel.simulate.Link`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from minilocal import draw, published, rules
from minilocal.ops.kinds import kernels
from minilocal.parallel.simulate import Link
from minilocal.parallel.simulate.measure import Table as Costs
from minilocal.parallel.simulate.table import Simulator
from minilocal.report.document import Part, Picture, Table
from minilocal.report.figures import at_page_size
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result
from minilocal.reproduce.views.configured import by_network, label, modules, network

KERNELS = {"numpy": "", "numba": ", with the kernels that Numba compiles"}
MEASURED = "For two modules in two processes, measured and not simulated, see docs/benchmarks/parallel.md."


@dataclass(frozen=True)
class Time:
    """A step of a rule on K devices: its seconds in percent of BP's on one, and the mean share of waiting."""

    rule: str
    modules: int
    of_bp: float
    idle: float


def run_time(plan: Plan, results: Sequence[Result], costs: Costs | None = None) -> list[Part]:
    """A figure and a table for each network: time over K; then what the papers print, beside ours.

    `costs` are those of parts that have been timed already, {form: costs}; what is timed is added.
    """
    parts: list[Part] = []
    costs = Costs() if costs is None else costs
    for (net, _), group in by_network(results).items():
        first, times = group[0].planned.config, simulated(group, costs)
        parts += shown(times, net, first.net.name, first.optim.batch_size)
        if rows := claims(times, net):
            parts += [f"What the papers print of {net}, and the same number here:", Table(rows)]
    return [*parts, MEASURED]


def simulated(group: Sequence[Result], costs: Costs) -> list[Time]:
    """The time of each cell; all have one network and batch size. `costs` as in `run_time`."""
    from tqdm import tqdm

    first = group[0].planned.config
    net = network(first)
    with tqdm(desc="timing units", unit="part", disable=None, leave=False) as bar:

        def on_part(form: str) -> None:
            bar.update()

        simulator = Simulator(net, first.optim.batch_size, Link(), costs, on_part=on_part)
        times = []
        for result in group:
            K, table = modules(result) or 1, result.planned.config.rule
            rule = rules.get(table.name, **table.options)
            schedule = simulator.schedule(rule, K, K)
            of_bp, idle = schedule.step / simulator.bp.step, sum(schedule.idle) / K
            times.append(Time(label(result, f"K = {K}"), K, 100 * of_bp, 100 * idle))
    return times


def shown(times: Sequence[Time], title: str, name: str, images: int) -> list[Part]:
    """The figure and the table of one network."""
    numbers = sorted({time.modules for time in times})
    of = {(time.rule, time.modules): time for time in times}
    names = list(dict.fromkeys(time.rule for time in times))
    curves = {rule: [of[rule, K].of_bp if (rule, K) in of else float("nan") for K in numbers] for rule in names}
    figure = draw.curves(
        curves, points=[str(K) for K in numbers], along="modules K, one a device", label="time of a step (% of BP's)",
        title=title,
    )  # fmt: skip
    caption = (
        f"Seconds of a training step of {images} images on K devices in percent of BP's on one device, simulated from "
        f"the seconds of units, auxiliary networks and updates on one core of this machine{KERNELS[kernels()]}."
    )
    rows = []
    for rule in names:
        cells = {f"K = {K}": _cell(of.get((rule, K))) for K in numbers}
        rows.append({title: rule, **cells})
    note = "Percent of BP's time on one device, and in brackets the mean share of a step in which a device waits."
    return [Picture(f"run-time-{name}", at_page_size(figure), caption), Table(rows, [note])]


def claims(times: Sequence[Time], net: str) -> list[dict[str, str]]:
    """A row for each printed number on this network: of BackLink's text, of FDG's Table 4."""
    return [*_limits(times, net), *_printed(times, net)]


def _limits(times: Sequence[Time], net: str) -> list[dict[str, str]]:
    """The BackLink paper's limits on ResNet-110, beside the most here."""
    rows = []
    gll = {time.modules: time.of_bp for time in times if time.rule == "GLL"}
    for line in published.table("backlink_ieee_run_time") if net == "ResNet-110" else ():
        own = [time for time in times if time.rule.startswith(line["method"])]
        if line["compared"] == "less than BP":
            values = [(100 - time.of_bp, time) for time in own]
        else:
            values = [(100 * (time.of_bp / gll[time.modules] - 1), time) for time in own if time.modules in gll]
        if values:
            most, time = max(values, key=lambda value: value[0])
            remark = f" ({line['remark']})" if line["remark"] else ""
            printed = f"at most {line['percent']} % {line['compared']}, on {line['devices']}s{remark}"
            most_of_ours = f"at most {most:.0f} %, {time.rule} at K = {time.modules}"
            rows.append({"rule": line["method"], "printed": printed, "here": most_of_ours})
    return rows


def _printed(times: Sequence[Time], net: str) -> list[dict[str, str]]:
    """FDG's Table 4, number for number."""
    of = {(time.rule.partition(",")[0], time.modules): time for time in times}
    return [
        {
            "rule": f"{line['method']}, K = {line['K']}",
            "printed": f"{line['value']} % of BP",
            "here": f"{of[line['method'], int(line['K'])].of_bp:.1f} % of BP",
        }
        for line in published.table("fdg_table4")
        if line["metric"] == "relative_time" and line["network"] == net and (line["method"], int(line["K"])) in of
    ]


def _cell(time: Time | None) -> str:
    return "" if time is None else f"{time.of_bp:.1f} ({time.idle:.0f})"
