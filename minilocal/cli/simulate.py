"""`minilocal simulate`: the step time of any rule on more devices than there are.

Units, auxiliary networks and the optimiser are timed on this machine, one at a time. From their seconds and bytes, and
a link between neighbouring devices, a discrete-event simulation schedules the steps of each rule.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilocal.cli.lists import numbers
from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    from minilocal.parallel.simulate.table import Row
    from minilocal.rules import Rule

MODULES = (2, 4, 8, 16)
RULES = ("bp", "gll", "backlink:length=1", "ddg", "fdg")
SHOWN_STEPS = 3.2  # steps in a Gantt chart
HEADS = ("K", "devices", "rule", "step", "of BP", "speed-up", "idle", "most", "messages", "sent", "memory", "printed")
LEGEND = """
of BP       the step in percent of BP's on one device; the speed-up is BP's step over it
idle        the share of a step in which a device waits: the mean of all devices, and the most
messages    the share in which a message is transferred, the mean of all devices
sent        bytes that all devices send in a step
memory      the most bytes of a device: parameters, momentum, activations that it keeps; no workspace of kernels
"""
PRINTED = "printed     time in percent of BP's in the FDG paper's Table 4\n"


def parser() -> Parser:
    """The options of `minilocal simulate`."""
    from minilocal.cli.options import of_the_rules

    p = Parser("simulate", __doc__, epilog=LEGEND, more=of_the_rules)
    p.add_argument("--net", metavar="NAME", default="resnet110", help="the network (resnet110)")
    p.add_argument(
        "--rule",
        metavar="NAME",
        action="append",
        help=f"a rule, with options as in backlink:length=2,alpha=0.25; repeatable ({', '.join(RULES)})",
    )
    p.add_argument("--aux", metavar="NAME", default="1c2f", help="auxiliary networks, where a rule names none (1c2f)")
    p.add_argument("--modules", metavar="K,K", help="numbers of modules (2,4,8,16, up to the number of units)")
    p.add_argument("--processes", metavar="P", type=int, help="devices, at most K (one for each module)")
    p.add_argument("--balance", metavar="BY", help="modules of equal time, memory or flops (equal numbers of units)")
    p.add_argument("--batch-size", metavar="N", type=int, default=128, help="images of a step (128)")
    p.add_argument("--threads", metavar="N", type=int, default=1, help="threads of each device (1)")
    p.add_argument("--kernels", metavar="KIND", default="numpy", help="kernels: numpy, numba, auto (numpy)")
    p.add_argument("--latency", metavar="S", type=float, default=20e-6, help="seconds of an empty message (20e-6)")
    p.add_argument(
        "--bandwidth",
        metavar="B",
        type=float,
        default=2.7e9,
        help="bytes a second (2.7e9: 8 MB in 3 ms, two MPI ranks)",
    )
    p.add_argument(
        "--ahead", metavar="N", type=int, default=0, help="messages that a link stores; at 0 senders wait (0)"
    )
    p.add_argument("--scale", metavar="S", type=float, default=1.0, help="work takes S times as long as here (1)")
    p.add_output("--costs", metavar="FILE", help="JSON: measured costs are read from there and added to it")
    p.add_output("--json", metavar="FILE", help="write all numbers there")
    p.add_output("--gantt", metavar="FILE", help="draw a few steps of the last row into FILE.svg or FILE.png")
    return p


def run(options: argparse.Namespace) -> int:
    """Print a row for each rule and number of modules."""
    from minilocal import nets, streams
    from minilocal.ops.kinds import using
    from minilocal.parallel.ranks import owned
    from minilocal.parallel.simulate import Link
    from minilocal.parallel.simulate.costs_file import kept_in
    from minilocal.parallel.simulate.published import findings
    from minilocal.parallel.simulate.table import Simulator

    link = Link(options.latency, options.bandwidth, options.ahead)
    _check(options)
    net, chosen = nets.get(options.net, rng=streams.rng(0)), _rules(options)
    counts = _numbers(options.modules, net.name, len(net.units))
    if options.processes is not None:
        owned([1.0] * min(counts), options.processes)  # refused before anything is measured
    costs = None if options.costs is None else Path(options.costs)
    with using(options.kernels), kept_in(costs) as table, _bar() as bar:

        def on_part(form: str) -> None:
            bar.set_postfix_str(form.partition(",")[0], refresh=False)
            bar.update()

        simulator = Simulator(
            net,
            options.batch_size,
            link,
            table,
            threads=options.threads,
            scale=options.scale,
            balance=options.balance,
            on_part=on_part,
        )
        rows = list(simulator.rows(chosen, counts, options.processes))
    print(
        f"{net.name}, {options.batch_size} images a step, {options.threads} thread{'s' * (options.threads > 1)} a "
        f"device, links of {1e6 * link.latency:g} µs and {link.bandwidth / 1e9:g} GB/s. BP on one device: "
        f"{_seconds(simulator.bp.step)} a step.\n"
    )
    table_text = _table(net.name, rows)
    print(table_text)
    print("\n".join([LEGEND + PRINTED * ("printed" in table_text), *findings(net.name, rows)]))
    if options.json is not None:
        _write_json(options, rows, simulator.bp.step)
    if options.gantt is not None:
        _draw(options, rows[-1])
    return 0


def _check(options: argparse.Namespace) -> None:
    """Check what would fail only after minutes of measuring.

    Raises: UserError for a number, a name or a file that cannot be used.
    """
    from minilocal.costs import MEASURES
    from minilocal.errors import real, unknown, whole

    for name in ("batch_size", "threads", "processes"):
        if (number := getattr(options, name)) is not None:
            whole(f"--{name.replace('_', '-')}", number)
    real("--scale", options.scale, 0, float("inf"), "()", why="this machine is 1, one that is twice as fast 0.5")
    if options.balance is not None and options.balance not in MEASURES:
        raise unknown("--balance", options.balance, MEASURES)
    if options.gantt is not None and Path(options.gantt).suffix not in (".svg", ".png"):
        raise UserError(f"--gantt {options.gantt}: give a name that ends in .svg or .png.")


def _rules(options: argparse.Namespace) -> dict[str, Rule]:
    """{label: rule} of the rules asked for; `--aux` holds for those that take one and do not name it.

    Raises: UserError for an unknown rule or option.
    """
    from minilocal import rules
    from minilocal.rules import registry, text

    chosen = {}
    for written in options.rule or RULES:
        name, own = text.read("--rule", written, registry.EXAMPLE)
        known = rules.options(name)
        aux = {"aux": options.aux} if "aux" in known and "aux" not in own else {}
        rule = rules.get(name, **own, **aux)
        label = ", ".join([rule.name, *(f"{key} {value}" for key, value in own.items())])
        chosen[label] = rule
    return chosen


def _numbers(text: str | None, net: str, units: int) -> list[int]:
    """ "2,4" as [2, 4]; without a text the usual numbers.

    Raises: UserError for anything else, and for more modules than units.
    """
    if text is None:
        return [K for K in MODULES if units >= K]
    listed = numbers("--modules", text, least=1)
    if most := [K for K in listed if units < K]:
        raise UserError(f"--modules {most[0]}: {net} has {units} units, and a module needs at least one.")
    return list(listed)


def _bar() -> Any:
    from tqdm import tqdm

    return tqdm(desc="measuring", unit="part", disable=None, leave=False)


def _table(net: str, rows: list[Row]) -> str:
    from minilocal.parallel.simulate.published import beside

    lines = [list(HEADS)]
    for row in rows:
        s = row.schedule
        lines.append(
            [
                str(row.modules),
                str(row.devices),
                row.label,
                _seconds(s.step),
                f"{100 * row.of_bp:.1f} %",
                f"{1 / row.of_bp:.2f}",
                f"{100 * sum(s.idle) / len(s.idle):.0f} %",
                f"{100 * max(s.idle):.0f} %",
                f"{100 * sum(s.messages) / len(s.messages):.1f} %",
                f"{s.nbytes / 1e6:.1f} MB",
                f"{max(s.memory) / 1e6:.0f} MB",
                beside(net, row),
            ]
        )
    if not any(line[-1] for line in lines[1:]):
        lines = [line[:-1] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    at = HEADS.index("rule")  # the one column of words
    cells = [[*map(str.rjust, line, widths)] for line in lines]
    for line, row_cells in zip(lines, cells, strict=True):
        row_cells[at] = line[at].ljust(widths[at])
    return "\n".join("  ".join(row_cells).rstrip() for row_cells in cells)


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def _write_json(options: argparse.Namespace, rows: list[Row], bp: float) -> None:
    from minilocal import record

    numbers = [
        {
            "rule": row.label,
            "modules": row.modules,
            "devices": row.devices,
            "of_bp": row.of_bp,
            "step": row.schedule.step,
            "busy": row.schedule.busy,
            "messages": row.schedule.messages,
            "idle": row.schedule.idle,
            "bytes": row.schedule.nbytes,
            "memory": row.schedule.memory,
        }
        for row in rows
    ]
    document = {"asked": vars(options), "environment": record.current_environment(), "bp": bp, "rows": numbers}
    with record.atomic_write(options.json) as file:
        file.write(json.dumps(document, indent=1, ensure_ascii=False).encode())


def _draw(options: argparse.Namespace, row: Row) -> None:
    """Draw a few steps in the steady state, batches counted from the oldest in them."""
    from minilocal import draw, record

    until = SHOWN_STEPS * row.schedule.step
    bars = row.schedule.bars_until(until)
    title = f"{options.net}, {row.label}: {row.modules} modules on {row.devices} devices"
    devices = [f"device {number + 1}" for number in range(row.devices)]
    figure = draw.gantt(bars, devices, until=until, title=title)
    content = draw.to_svg(figure).encode() if options.gantt.endswith(".svg") else draw.to_png(figure)
    with record.atomic_write(options.gantt) as file:
        file.write(content)
