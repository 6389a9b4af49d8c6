"""`minilocal memory`: what a training step takes under each rule, from shapes; with --measure, measured beside it.

The bytes are predicted by running the engine on arrays without memory, so that sizes which fit nowhere can be asked
for, and a GPU that is not here.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    from minilocal.measure import Usage
    from minilocal.nets import Net
    from minilocal.rules import Rule

MODULES = (2, 4, 8, 16)
CLOSE = 0.03  # how far a prediction may be off
PARTS = ("activations", "auxiliary", "gradients", "workspace")
HELD = ("parameters", "statistics", "optimizer", "scratch")
DRAWN = ("BP", "BP, checkpointed", "GLL", "BackLink, l = 1", "BackLink, inputs kept")
LEGEND = """
step        the most bytes of a step above all that is held between steps: the sum of the four columns after "over GLL"
activations caches and outputs of the network's units        auxiliary   those of auxiliary networks and the head
gradients   those that wait for another one, or for the end of the step
workspace   errors on their way, and what kernels take for themselves
in all      the step, parameters, running statistics, momentum, and the scratch that the CPU's threads keep
accumulated in K micro-batches, each with its own batch statistics
PGL         8 of 10 epochs are GLL's, 2 backpropagate through everything and need its memory
"""
PAPER = "The BackLink paper, ResNet-110 with 1c2f heads: up to 79 % below BP, at most 12 % above GLL (one GPU)."


def parser() -> Parser:
    """The options of `minilocal memory`."""
    p = Parser("memory", __doc__, epilog=LEGEND)
    p.add_argument("--net", metavar="NAME", default="resnet110", help="the network (resnet110)")
    p.add_argument("--modules", metavar="K,K", help="numbers of modules (2,4,8,16, as many as there are units for)")
    p.add_argument("--aux", metavar="NAME", default="1c2f", help="the auxiliary networks (1c2f)")
    p.add_argument("--length", metavar="L,L", default="1", help="BackLink's propagation lengths (1)")
    p.add_argument("--batch-size", metavar="N", type=int, default=512, help="images of a step (512)")
    p.add_argument("--device", metavar="DEV", default="cpu", help="cpu, cuda, cuda:1, ... (cpu)")
    p.add_argument("--measure", metavar="N", type=int, nargs="?", const=32, help="also measure, with N images (32)")
    p.add_argument("--out", metavar="DIR", default="runs/memory", help="memory.json and live.svg go there")
    return p


def run(options: argparse.Namespace) -> int:
    """Prints a table for each number of modules; 1 where a measured step is not what was predicted."""
    from minilocal import nets, record
    from minilocal.array import device_namespace, generator
    from minilocal.measure import Device, Host

    for name in ("batch_size", "measure"):
        if (number := getattr(options, name)) is not None and number < 1:
            raise UserError(f"--{name.replace('_', '-')} {number}: give the number of images, 1 or more.")
    if options.device.partition(":")[0] != "cuda" or options.measure:
        device_namespace(options.device)  # a name that is not known, or a missing GPU, is said first
    net, lengths = nets.get(options.net, rng=generator(0)), _numbers("--length", options.length)
    counts = _numbers("--modules", options.modules) if options.modules else [K for K in MODULES if len(net.units) >= K]
    machine = Host() if options.device == "cpu" else Device()
    where = f"the CPU, {machine.workers} threads" if isinstance(machine, Host) else "a GPU, kernels started one by one"
    print(f"{net.name}, {options.batch_size} images of 32×32, heads {options.aux}, float32, on {where}. Bytes in MB.")
    tables: dict[int, Any] = {}
    for K in counts:
        tables[K] = _table(net, K, _recipes(K, lengths, options.aux), options, machine)
        print(f"\n{K} modules of {_sizes(net, K)} units\n{_shown(tables[K], bool(options.measure))}", flush=True)
    print(LEGEND + "\n".join(_findings(tables, options)))
    with record.written_aside(_made(options.out) / "memory.json") as file:
        told = {"asked": vars(options), "environment": record.current_environment(), "modules": tables}
        file.write(json.dumps(told, indent=1).encode())
    _draw(tables[counts[-1]], f"{net.name}, K = {counts[-1]}, {options.batch_size} images", options.out)
    print(f"everything is in {options.out}")
    return 0 if _is_close(tables) else 1


Recipes = dict[str, tuple["Rule", dict[int, float]]]  # by the row's name: a rule, and epochs with their shares
Table = dict[str, dict[str, Any]]  # by the row's name: numbers


def _recipes(K: int, lengths: list[int], aux: str) -> Recipes:
    """The rows."""
    from minilocal import rules as R

    pgl = R.pgl(aux=aux)
    local, last = {0: 0.8, 9: 0.2}, {9: 1.0}  # of a period of 10 epochs, the last two are global
    always = {
        "BP": R.bp(),
        "BP, checkpointed": R.bp(keep="inputs"),
        "BP, accumulated": R.bp(accumulate=K),
        "GLL": R.gll(aux=aux),
        **{f"BackLink, l = {n}": R.backlink(length=n, aux=aux) for n in lengths},
        "BackLink, inputs kept": R.backlink(length=lengths[0], aux=aux, keep="inputs"),
    }
    return {name: (rule, {0: 1.0}) for name, rule in always.items()} | {
        "PGL, on average": (pgl, local),
        "PGL, at its peak": (pgl, last),
    }


def _table(net: Net, K: int, recipes: Recipes, options: argparse.Namespace, machine: Any) -> Table:
    """The numbers of all rows: of a step of --batch-size images, and measured and predicted with --measure images."""
    from minilocal.measure import predict

    @cache
    def predicted(rule: Rule, epoch: int, images: int) -> Usage:
        return predict(net, rule, K, images, epoch=epoch, machine=machine)

    @cache
    def measured(rule: Rule, epoch: int, images: int) -> Usage | None:
        fits = predicted(rule, epoch, images).total < 0.8 * _room(options.device)
        return _measure(net, rule, K, images, epoch, options.device) if fits else None

    table: Table = {}
    for name, (rule, epochs) in recipes.items():
        row: dict[str, Any] = _mean({e: predicted(rule, e, options.batch_size) for e in epochs}, epochs)
        row["live"] = list(predicted(rule, max(epochs), options.batch_size).curve)
        if options.measure:
            found = {e: measured(rule, e, options.measure) for e in epochs}
            if all(found.values()):
                row["measured"] = _mean(found, epochs)
                row["predicted"] = _mean({e: predicted(rule, e, options.measure) for e in epochs}, epochs)
        table[name] = row
    for row in table.values():
        row["of BP"], row["total of BP"] = (row[key] / table["BP"][key] for key in ("step", "total"))
        row["over GLL"] = row["step"] / table["GLL"]["step"] - 1
    return table


def _mean(uses: dict[int, Any], shares: dict[int, float]) -> dict[str, float]:
    """The numbers of a use, averaged over the epochs by their shares."""
    keys = ("step", "total", *PARTS, *HELD)
    return {key: sum(shares[e] * getattr(use, key) for e, use in uses.items()) for key in keys}


def _measure(net: Net, rule: Rule, K: int, images: int, epoch: int, device: str) -> Usage:
    """A real step."""
    from minilocal.array import generator, to_device
    from minilocal.learner import Learner
    from minilocal.measure import usage

    learner, rng = Learner(net, rule, K, rng=generator(0), device=device, cuda_graph=False), generator(1)
    learner.epoch = epoch
    x, y = rng.standard_normal((images, *net.shape), dtype="float32"), rng.integers(net.classes, size=images)
    return usage(learner, to_device(x, device), to_device(y, device))


def _room(device: str) -> float:
    """Free bytes: of the GPU, or of the host where it tells."""
    from minilocal.array import device_namespace

    if device != "cpu":
        free: int = device_namespace(device).cuda.runtime.memGetInfo()[0]
        return free
    names = [name for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES") if name in os.sysconf_names]
    return os.sysconf(names[0]) * os.sysconf("SC_PAGE_SIZE") if names else float("inf")


def _shown(table: Table, measured: bool) -> str:
    """The table, in Megabytes and per cent."""
    heads = ["rule", "step", "of BP", "over GLL", *PARTS, "in all", "of BP"]
    lines = [heads + ["measured", "predicted", "off"] * measured]
    for name, row in table.items():
        over = f"{100 * row['over GLL']:+.1f} %" if not name.startswith("BP") else ""
        cells = [name, _mb(row["step"]), f"{row['of BP']:.3f}", over, *(_mb(row[part]) for part in PARTS)]
        cells += [_mb(row["total"]), f"{row['total of BP']:.3f}"]
        if "measured" in row:
            cells += [_mb(row["measured"]["step"]), _mb(row["predicted"]["step"]), f"{100 * _off(row):+.1f} %"]
        lines.append(cells + ["too large", "", ""] * (measured and "measured" not in row))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join(
        f"{line[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(line[1:], widths[1:], strict=True))
        for line in lines
    )


def _findings(tables: dict[int, Table], options: argparse.Namespace) -> list[str]:
    """What the tables say, in sentences."""
    K, table = max(tables.items())
    link = next(name for name in table if name.startswith("BackLink"))
    spared, linked = (1 - table[name]["total of BP"] for name in ("BP, checkpointed", link))
    lines = [
        f"At K = {K}, {link.removeprefix('BackLink, ')}, BackLink takes {100 * linked:.0f} % less than BP in all; BP "
        f"checkpointed at the same boundaries {100 * spared:.0f} % less, for one more forward, a third more work. What "
        "local learning adds is that modules need not wait for each other.",
    ]
    if (options.net, options.aux) == ("resnet110", "1c2f"):
        lines.append(PAPER)
    if options.measure:
        offs = [_off(row) for t in tables.values() for row in t.values() if "measured" in row]
        worst = f"{100 * max(map(abs, offs), default=0):.1f} %, of steps of {options.measure} images."
        most = f"The largest difference between measured and predicted is {worst}"
        lines.append(most if offs else "No step fits into this memory.")
    return lines


def _is_close(tables: dict[int, Table]) -> bool:
    rows = [row for table in tables.values() for row in table.values() if "measured" in row]
    return all(abs(_off(row)) <= CLOSE for row in rows)


def _off(row: dict[str, Any]) -> float:
    """How far the prediction of a step is from its measurement, relative to that."""
    return float(row["predicted"]["step"] / row["measured"]["step"] - 1)


def _draw(table: Table, title: str, out: str) -> None:
    """live.svg: what is kept after each piece of work of a step."""
    from minilocal import draw, record

    runs = {name: [n / 1e6 for n in row["live"]] for name, row in table.items() if name in DRAWN}
    work = "forwards and backwards of units and classifiers, in order"
    figure = draw.timeline(runs, label="live caches (MB)", work=work, title=title)
    with record.written_aside(_made(out) / "live.svg") as file:
        file.write(draw.to_svg(figure).encode())


def _made(out: str) -> Path:
    """The folder, made where it is missing."""
    from minilocal.record.files import explained

    with explained(Path(out)):
        Path(out).mkdir(parents=True, exist_ok=True)
    return Path(out)


def _sizes(net: Net, K: int) -> str:
    from minilocal.split import sizes

    return ", ".join(map(str, sizes(len(net.units), K)))


def _numbers(flag: str, text: str) -> list[int]:
    """ "2,4" as [2, 4].

    Raises: UserError for anything else.
    """
    parts = text.split(",")
    if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"{flag} {text!r}: give whole numbers of 1 or more, as 2,4,8.")
    return [int(part) for part in parts]


def _mb(nbytes: float) -> str:
    return f"{nbytes / 1e6:.1f}"
