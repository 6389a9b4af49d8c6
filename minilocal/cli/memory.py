"""`minilocal memory`: the peak bytes of a training step under each rule, estimated, and with --measure also measured.

The estimate runs the engine on abstract arrays, which have a shape and no memory. So it covers sizes that fit no
machine, and GPUs that are not installed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from minilocal.cli.lists import numbers
from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    from minilocal.memory.by_rule import Table
    from minilocal.nets import Net

MODULES = (2, 4, 8, 16)
CLOSE = 0.03  # the largest relative error of an estimate, beside
OBJECTS = 16 << 10  # bytes a unit of Python's own objects, which the host's meter counts: 1 to 13 kB
CURVES = ("BP", "BP, checkpointed", "GLL", "BackLink, l = 1", "BackLink, l = 1, inputs kept")
LEGEND = """
step        the most bytes of a step above all that is held between steps: the sum of the four columns after "over GLL"
activations caches and outputs of the network's units        auxiliary   those of auxiliary networks and the head
gradients   those that wait for another one, or for the end of the step
workspace   errors on their way, and what kernels take for themselves
in all      the step, parameters, running statistics, momentum, and the scratch that the CPU's threads keep
accumulated in K micro-batches, each with its own batch statistics
inputs kept linked units keep their input alone, and their forward is computed again (activation checkpointing)
total error error="total": modules that are linked to their first unit wait for all above, with an error each
InfoPro     its decoder and its classifier in every module below the last
AugLocal    two blocks of later units behind the lowest module. HPFF: four decoders and two classifiers a module
MAN         two more units a module: the average of the next module's first one, and one that learns
contexts E  ContSup's encoders of the image, in the network that it tests; BP on the same network is its baseline
PGL         8 of 10 epochs are GLL's, 2 backpropagate through everything and need its memory
"""
HELD = """held        what the GPU's memory pool holds after a measured step, parameters and batch included: it splits
            and keeps blocks. nvidia-smi shows that, and the CUDA context and the kernels besides, some hundred MB
"""
PAPER = {"resnet32": 23, "resnet110": 12}  # per cent at most that BackLink takes above GLL, all in all


def parser() -> Parser:
    """The options of `minilocal memory`."""
    p = Parser("memory", __doc__, epilog=LEGEND)
    p.add_argument("--net", metavar="NAME", default="resnet110", help="the network (resnet110)")
    p.add_argument("--modules", metavar="K,K", help="numbers of modules (2,4,8,16, up to the number of units)")
    p.add_argument("--balance", metavar="BY", help="cut by GLL's time, memory or flops instead of evenly")
    p.add_argument("--aux", metavar="NAME", default="1c2f", help="the auxiliary networks (1c2f)")
    p.add_argument(
        "--length", metavar="L,L", default="1", help="lengths of BackLink, as 1,2,3,4; too long ones are left out (1)"
    )
    p.add_argument("--batch-size", metavar="N", type=int, default=512, help="images of a step (512)")
    p.add_argument("--device", metavar="DEV", default="cpu", help="cpu, cuda, cuda:1, ... (cpu)")
    p.add_argument("--measure", metavar="N", type=int, nargs="?", const=32, help="also measure, with N images (32)")
    p.add_output(
        "--out", kind="folder", names=("memory.json", "live.svg"), metavar="DIR", default="runs/memory",
        help="memory.json and live.svg go there",
    )  # fmt: skip
    return p


def run(options: argparse.Namespace) -> int:
    """Print a table for each number of modules. Returns 1 where a measured step differs from its estimate."""
    from minilocal import nets, record, streams
    from minilocal.device import check_device_name, device_namespace
    from minilocal.memory import CPU, GPU
    from minilocal.memory.by_rule import recipes, table

    for name in ("batch_size", "measure"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise UserError(f"--{name.replace('_', '-')} {number}: give the number of images, 1 or more.")
    check_device_name(options.device)
    if options.measure:
        device_namespace(options.device)  # refuses a missing GPU before anything runs
    net, lengths = nets.get(options.net, rng=streams.rng(0)), numbers("--length", options.length, least=1)
    usual = [K for K in MODULES if len(net.units) >= K]
    counts = numbers("--modules", options.modules, least=1) if options.modules is not None else usual
    cuts = {K: _cut(net, K, options) for K in counts}
    machine = CPU() if options.device == "cpu" else GPU()
    where = f"the CPU, {machine.workers} threads" if isinstance(machine, CPU) else "a GPU, kernels started one by one"
    print(f"{net.name}, {options.batch_size} images of 32×32, heads {options.aux}, float32, on {where}. Bytes in MB.")
    tables: dict[int, Table] = {}
    for K, cut in cuts.items():
        rows, place = recipes(net, cut, lengths, options.aux), {"device": options.device, "measured": options.measure}
        tables[K] = table(net, cut, rows, options.batch_size, machine=machine, **place)
        measure = f", balanced by {options.balance}" * bool(options.balance)
        print(
            f"\n{K} modules of {', '.join(map(str, cut))} units{measure}\n{_shown(tables[K], bool(options.measure))}",
            flush=True,
        )
    if len(tables) > 1:
        print(f"\n{_over_gll(tables)}")
    print(LEGEND + HELD * _any_held(tables) + "\n".join(_findings(tables, options)))
    with record.atomic_write(_folder(options.out) / "memory.json") as file:
        metadata = {"asked": vars(options), "environment": record.current_environment(), "modules": tables}
        file.write(json.dumps(metadata, indent=1).encode())
    _draw(tables[counts[-1]], f"{net.name}, K = {counts[-1]}, {options.batch_size} images", options.out)
    print(f"everything is in {options.out}")
    return 0 if _is_close(tables, len(net.units)) else 1


def _shown(table: Table, measured: bool) -> str:
    """The table as text, in megabytes and percent."""
    from minilocal.memory.by_rule import PARTS, off

    heads = ["rule", "step", "of BP", "over GLL", *PARTS, "in all", "of BP", "over GLL"]
    held = _any_held({0: table})
    lines = [heads + ["measured", "predicted", "off"] * measured + ["held"] * held]
    for name, row in table.items():
        over = ["" if name.startswith("BP") else _percent(row[key]) for key in ("over GLL", "total over GLL")]
        cells = [name, _mb(row["step"]), f"{row['of BP']:.3f}", over[0], *(_mb(row[part]) for part in PARTS)]
        cells += [_mb(row["total"]), f"{row['total of BP']:.3f}", over[1]]
        if "measured" in row:
            cells += [_mb(row["measured"]["step"]), _mb(row["predicted"]["step"]), _percent(off(row))]
            cells += [_mb(row["measured"]["held"])] * held
        lines.append(cells + ["too large", "", "", *[""] * held] * (measured and "measured" not in row))
    return _aligned(lines)


def _any_held(tables: dict[int, Table]) -> bool:
    """Whether steps were measured on a device with a memory pool."""
    return any(row["measured"]["held"] for table in tables.values() for row in table.values() if "measured" in row)


def _over_gll(tables: dict[int, Table]) -> str:
    """A table of the total bytes of BackLink, InfoPro and ContSup above GLL, for each number of modules."""
    names = dict.fromkeys(
        n for table in tables.values() for n in table if n.startswith(("BackLink", "InfoPro", "ContSup"))
    )
    lines = [["over GLL, in all", *(f"K = {K}" for K in tables)]]
    for name in sorted(names, key=lambda n: (n.startswith(("InfoPro", "ContSup")), "total" in n, "inputs" in n)):
        lines.append([name, *(_percent(t[name]["total over GLL"]) if name in t else "" for t in tables.values())])
    return _aligned(lines)


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    cells = [[f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in cells)


def _findings(tables: dict[int, Table], options: argparse.Namespace) -> list[str]:
    """The main results of the tables, in sentences."""
    from minilocal.memory.by_rule import off

    K, table = max(tables.items())
    link = next(name for name in table if name.startswith("BackLink"))
    linked, again = (_beside(table[name]["total of BP"]) for name in (link, "BP, checkpointed"))
    lines = [
        f"At K = {K}, {link.replace(',', ' with')} takes {linked} BP in all. BP checkpointed at the same boundaries "
        f"takes {again} BP, for one more forward, a third more work. What local learning adds is that modules need not "
        "wait for each other.",
    ]
    if total := next((name for name in table if name.endswith("total error")), None):
        lines.append(
            f"With the total error modules that are linked to their first unit wait for all above, as in BP: "
            f"{total.removesuffix(', total error').replace(',', ' with')} then takes "
            f"{_beside(table[total]['total of BP'])} BP in all."
        )
    if options.net in PAPER and options.aux == "1c2f":
        above = {
            kept: max(row["total over GLL"] for t in tables.values() for name, row in t.items() if _is(name, kept))
            for kept in (False, True)
        }
        lines.append(
            f"The BackLink paper, {options.net} with conv heads on one GPU: BackLink takes at most "
            f"{PAPER[options.net]} % more than GLL. Here, in all: at most {100 * above[False]:.0f} %, and with "
            f'keep="inputs" at most {100 * above[True]:.0f} %.'
        )
    if options.measure:
        offs = [off(row) for t in tables.values() for row in t.values() if "measured" in row]
        worst = f"{100 * max(map(abs, offs), default=0):.1f} %, of steps of {options.measure} images."
        most = f"The largest difference between measured and predicted is {worst}"
        lines.append(most if offs else "No step fits into this memory.")
    return lines


def _is(name: str, kept: bool) -> bool:
    """Whether a row is BackLink with its own error, and with inputs or caches kept as `kept` says."""
    return name.startswith("BackLink") and "total" not in name and name.endswith("inputs kept") == kept


def _beside(share: float) -> str:
    """A ratio of bytes in words: "20 % less than", "5 % more than", "as much as"."""
    percent = round(100 * (share - 1))
    return f"{abs(percent)} % {'more' if percent > 0 else 'less'} than" if percent else "as much as"


def _is_close(tables: dict[int, Table], units: int) -> bool:
    """Whether every estimate is as far from its measured step as `CLOSE` and `OBJECTS` allow."""
    rows = [row for table in tables.values() for row in table.values() if "measured" in row]
    pairs = [(row["measured"]["step"], row["predicted"]["step"]) for row in rows]
    return all(abs(measured - predicted) <= CLOSE * measured + OBJECTS * units for measured, predicted in pairs)


def _draw(table: Table, title: str, out: str) -> None:
    """Write live.svg: live bytes after each forward and backward of a step."""
    from minilocal import draw, record

    runs = {name: [n / 1e6 for n in row["live"]] for name, row in table.items() if name in CURVES}
    work = "forwards and backwards of units and classifiers, in order"
    figure = draw.timeline(runs, label="live caches (MB)", work=work, title=title)
    with record.atomic_write(_folder(out) / "live.svg") as file:
        file.write(draw.to_svg(figure).encode())


def _folder(out: str) -> Path:
    """The folder, created where it is missing."""
    from minilocal.record.files import os_errors_explained

    with os_errors_explained(Path(out)):
        Path(out).mkdir(parents=True, exist_ok=True)
    return Path(out)


def _cut(net: Net, K: int, options: argparse.Namespace) -> list[int]:
    """The unit counts of K modules, the same under every rule."""
    from minilocal import costs, rules
    from minilocal.split import sizes

    if options.balance is None:
        return sizes(len(net.units), K)
    place = {"images": options.batch_size, "device": options.device}
    return costs.measure(net, rules.gll(aux=options.aux), K, options.balance, **place).cut()


def _percent(part: float) -> str:
    return f"{100 * part:+.1f} %".replace("-0.0", "+0.0")


def _mb(nbytes: float) -> str:
    return f"{nbytes / 1e6:.1f}"
