"""`minilocal train`: one training run, from flags or a TOML file, into a folder from which it can be resumed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection
from functools import partial
from importlib import resources
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError, unknown

if TYPE_CHECKING:
    from minilocal.config import Config, Source

EPOCHS = "optim.epochs"
BY_HAND = ("--epochs", "--set")  # sources whose number of epochs extends a resumed run
HELP = {  # of each flag: the name of its value, and its meaning
    "--rule": ("NAME", "{rules}, compose, or FILE.py:NAME for one of your own"),
    "--length": ("L", "BackLink's propagation length l, in units, or module: all of a module"),
    "--alpha": ("A", "BackLink's weight α of the local error, 0 to 1"),
    "--weighting": ("HOW", "literal (α compounds, as in Eq. 5) or unfolded (α once)"),
    "--aux": (
        "NAME",
        "auxiliary network: {auxiliary}; DGL's last four apart, also with +flat, and those with a hidden linear layer "
        "with +bn, +dropout",
    ),
    "--net": ("NAME", "{nets}, {more}"),
    "--modules": ("K", "number of modules, their unit counts as 3,3,2,2, or a published split as infopro:16"),
    "--balance": ("BY", "cut K modules so that the largest costs least, by time, memory or flops"),
    "--dataset": ("NAME", "digits (in the package), cifar10, ... (minilocal data), or npz:PATH, folder:PATH: your own"),
    "--data-dir": ("DIR", "the folder of data sets"),
    "--no-download": (None, "use only files that are there"),
    "--limit-train": ("N", "use N training images, class-balanced"),
    "--limit-test": ("N", "use N test images, class-balanced"),
    "--augment": (None, "random crops and mirrors, as the data set allows"),
    "--epochs": ("N", "passes over the training images"),
    "--batch-size": ("N", "images in a step"),
    "--lr": ("LR", "learning rate η at the start"),
    "--schedule": ("HOW", "constant, cosine, infopro, steps, steps:15,30:0.2; before it warmup:5+ or hold:3:0.01+"),
    "--momentum": ("MU", "SGD's momentum μ"),
    "--weight-decay": ("WD", "weight decay λ"),
    "--seed": ("N", "seed of all random numbers: weights, order, crops"),
    "--device": ("DEV", "cpu, cuda, cuda:1, ..."),
    "--dtype": ("TYPE", "float32 or float64"),
    "--tf32": (None, "on a GPU, products with factors rounded to 10 bits: faster, less exact"),
    "--cuda-graph": (None, "on a GPU, record whole steps as CUDA graphs (the default)"),
    "--no-cuda-graph": (None, "launch every kernel separately"),
    "--threads": ("N", "threads, at most 16; 0 is every core; results do not depend on it"),
    "--kernels": ("KIND", "kernels on the CPU: numpy, numba, auto (numba where installed); results agree to round-off"),
    "--processes": ("P", "MPI ranks that train at once, each its own modules; at most K. Results do not depend on it"),
    "--out": ("RUN", "the run's folder; by default a new one under runs/"),
}


def parser() -> Parser:
    """The options of `minilocal train`."""
    from minilocal.cli.options import of_the_rules
    from minilocal.config import FLAGS

    more = partial(of_the_rules, flags={key: flag for flag, key in FLAGS.items()})
    p = Parser("train", f"{__doc__}\n\nThe last value of a repeated flag counts.", more=more)
    add_flags(p)
    p.add_argument(
        "--resume",
        metavar="RUN",
        help="continue the run in this folder, perhaps on another --device; other flags agree",
    )
    p.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file of [rule] [net] [data] [optim] [run], or the config.json of a run; flags override it",
    )
    p.add_argument("--preset", metavar="NAME", help=f"a published recipe: {', '.join(presets())}")
    p.add_argument("--quiet", action="store_true", help="print the last line, warnings and errors only")
    p.add_argument(
        "--set",
        metavar="T.K=V",
        action="append",
        default=[],
        help="any other key of those tables, as optim.nesterov=true, or rule.period=5 with --rule pgl",
    )
    p.add_argument("--show", action="store_true", help="print all this as a TOML file, and train nothing")
    p.set_defaults(parser=p)
    return p


def add_flags(parser: Parser, but: Collection[str] = (), **of_a_value: Any) -> None:
    """Add the short flags to a parser, `but` these; `of_a_value` are argparse's options for those that take a value."""
    from minilocal import nets, objectives, rules
    from minilocal.config import FLAGS, SWITCHES, Config, flatten, tables_of

    known = {"rules": rules.NAMES, "auxiliary": objectives.NAMES, "nets": nets.NAMES}
    names = {what: ", ".join(those) for what, those in known.items()} | {"more": nets.MORE}
    defaults = flatten(tables_of(Config()), "defaults")
    for flag, key in FLAGS.items():
        if flag in but:
            continue
        metavar, text = HELP[flag]
        default = f" ({defaults[key]})" if defaults.get(key) is not None and flag not in SWITCHES else ""
        options: dict[str, Any] = {"action": "store_true"} if flag in SWITCHES else {"metavar": metavar, **of_a_value}
        parser.add_argument(flag, help=text.format(**names).replace("%", "%%") + default, **options)


def run(options: argparse.Namespace) -> int:
    """Train, and print a line for each epoch."""
    from minilocal.cli import processes

    if options.show:
        print(shown(options))
        return 0
    return processes.run(_train, _processes, options)


def _train(options: argparse.Namespace) -> int:
    """Train in this process, alone or as one of several ranks."""
    from minilocal import parallel
    from minilocal.parallel.environment import place, started
    from minilocal.train import train as alone

    train: Callable[..., Any] = parallel.train if started() else alone
    _, epochs, options_of_train = _planned(options)
    if options.quiet:
        result = train(**options_of_train, bar=False)
    else:
        result = train(**options_of_train, on_epoch=Lines(epochs), say=partial(print, flush=True))
    if place().rank > 0:
        return 0
    if not result.rows:
        raise UserError(
            f"{result.path} has no rows in metrics.jsonl any more: minilocal predict {result.path} still works."
        )
    last = result.rows[-1]
    error = "?" if last.get("test_error") is None else f"{last['test_error']:.2f}"
    print(f"test error {error} % after epoch {last['epoch']}; everything is in {result.path}")
    return 0


def _processes(options: argparse.Namespace) -> int:
    """The number of processes, after every check of the configuration, and of the folder that several would open.

    Raises: UserError.
    """
    from minilocal import record

    processes, _, asked = _planned(options)
    folder = asked["resume"] if "resume" in asked else asked["config"].run.out
    if processes > 1 and folder is not None:
        if "resume" not in asked:
            record.check_free(folder)
        record.check_unlocked(folder)
    return processes


def shown(options: argparse.Namespace) -> str:
    """The configuration as a TOML file, under the comment of its preset on its source."""
    from minilocal import record
    from minilocal.config import as_toml, flatten

    sources = sources_of(options)
    if options.resume is not None:
        recorded = f"{options.resume}/config.json"
        sources.insert(0, (recorded, flatten(record.config(options.resume), recorded)))
    words = _presets().joinpath(f"{options.preset}.toml").read_text("utf-8") if options.preset else ""
    comment = takewhile(lambda line: line.startswith("#"), words.splitlines(keepends=True))
    return "".join([*comment, "\n"] if words else []) + as_toml(_asked(sources))


def _planned(options: argparse.Namespace) -> tuple[int, int, dict[str, Any]]:
    """(number of processes, last epoch, keyword arguments of `train`)."""
    if options.resume is not None:
        return _resumed(options)
    config = _asked(sources_of(options))
    return config.run.processes, config.optim.epochs, {"config": config}


def _asked(sources: list[Source]) -> Config:
    """The configuration from these sources, and from the number of ranks. Prints remarks on it to stderr."""
    from minilocal.cli.processes import of_ranks
    from minilocal.config import resolve

    config, remarks = resolve(of_ranks(sources))
    for remark in remarks:
        print(f"minilocal: {remark}", file=sys.stderr)
    return config


def _resumed(options: argparse.Namespace) -> tuple[int, int, dict[str, Any]]:
    """(number of processes, last epoch, keyword arguments of `train`) of a resumed run.

    Repeated flags must agree with the run's configuration, with these exceptions: --processes, --epochs, the keys that
    name a machine (`MOVABLE`), and a run without a checkpoint, which may start again with other flags.
    """
    from minilocal import record
    from minilocal.cli.processes import apart, of_ranks
    from minilocal.config import check_agrees, flatten, from_tables, resolve, tables_of
    from minilocal.train.same_run import MOVABLE, on_device

    run, sources = options.resume, sources_of(options)
    config = from_tables(record.config(run), f"{run}/config.json")
    _same_folder(options)
    all_sources, (sources, numbers) = sources, apart(sources)
    machine = {key: value for _, flat in sources for key, value in flat.items() if key in MOVABLE}
    moved = [(name, {k: v for k, v in flat.items() if k in MOVABLE}) for name, flat in sources]
    resolve([(run, flatten(tables_of(config), run)), (run, on_device(machine.get("run.device"))), *moved])  # or refused
    sources = [(name, {k: v for k, v in flat.items() if k not in MOVABLE}) for name, flat in sources]
    going_on: dict[str, Any] = {"resume": run, "machine": machine} if machine else {"resume": run}
    processes = resolve([(run, flatten(tables_of(config), run)), *of_ranks(numbers)])[0].run.processes
    epochs = next((flat[EPOCHS] for name, flat in reversed(sources) if name in BY_HAND and EPOCHS in flat), None)
    try:
        check_agrees(config, _without_its_cut(sources, config, run), run)
    except UserError:
        if record.saved_nothing(run):
            again = _asked([(run, flatten(tables_of(config), run)), *all_sources, ("--resume", {"run.out": run})])
            return again.run.processes, again.optim.epochs, {"config": again}
        if epochs is None:
            raise
        sources = [(name, {k: v for k, v in flat.items() if k != EPOCHS}) for name, flat in sources]
        check_agrees(config, _without_its_cut(sources, config, run), run)
        return processes, epochs, {**going_on, "epochs": epochs}
    return processes, config.optim.epochs, going_on


def _without_its_cut(sources: list[Source], config: Config, run: str) -> list[Source]:
    """The sources without the balance that the run was cut by, and without the number of its modules: they agree.

    Raises: UserError for another balance.
    """
    from minilocal import record

    asked = {key: (value, name) for name, flat in sources for key, value in flat.items()}
    if (by := asked.get("net.balance", (None, ""))[0]) is None:
        return sources
    before = record.recorded_environment(run).get("balance", {}).get("by")
    if by != before:
        then = "its modules are not balanced" if before is None else f"its modules are balanced by {before}"
        raise UserError(
            f"net.balance = {by!r} ({asked['net.balance'][1]}) does not agree with {run}: {then}. Leave it out, or "
            "start another run."
        )
    modules = config.net.modules
    agreed = {"net.balance": by, "net.modules": len(modules) if isinstance(modules, list) else modules}
    return [(name, {k: v for k, v in flat.items() if agreed.get(k) != v}) for name, flat in sources]


def sources_of(options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """The sources of a configuration, weakest first: preset, file, flags, --set."""
    from minilocal.config import FLAGS, SWITCHES, parse_setting, read_file, value_of

    sources = []
    if options.preset is not None:
        sources.append(preset_source(options.preset))
    if options.config is not None:
        sources.append(read_file(options.config))
    for flag, key in FLAGS.items():
        value = getattr(options, flag[2:].replace("-", "_"))
        if flag in SWITCHES:
            sources += [(flag, {key: SWITCHES[flag]})] if value else []
        elif value is not None:
            sources.append((flag, {key: value_of(key, value)}))
    return sources + [parse_setting(text) for text in options.set]


def presets() -> list[str]:
    """The names of the package's recipes."""
    return sorted(entry.name.removesuffix(".toml") for entry in _presets().iterdir() if entry.name.endswith(".toml"))


def preset_source(name: str) -> tuple[str, dict[str, Any]]:
    """A recipe as a source of the configuration.

    Raises: UserError for an unknown name.
    """
    from minilocal.config import read_file

    if name not in presets():
        raise unknown("preset", name, presets())
    return f"preset {name}", read_file(str(_presets() / f"{name}.toml"))[1]


class Lines:
    """Print a line for each epoch, which ends with the time spent < the time left."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.taken: list[float] = []

    def __call__(self, row: dict[str, Any]) -> None:
        from minilocal.train import duration, row_text

        self.taken.append(row["seconds"] + row["evaluation_seconds"])
        spent, left = sum(self.taken), (self.epochs - row["epoch"]) * sum(self.taken) / len(self.taken)
        print(f"{row_text(row)}  {duration(spent)}<{duration(left)}", flush=True)


def _presets() -> Any:
    return resources.files("minilocal.cli") / "presets"


def _same_folder(options: argparse.Namespace) -> None:
    from pathlib import Path

    if options.out is not None and Path(options.out).resolve() != Path(options.resume).resolve():
        raise UserError(
            f"--out {options.out} is not {options.resume}: a resumed run stays in its folder. Leave --out out."
        )
