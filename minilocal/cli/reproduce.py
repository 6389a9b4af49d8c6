"""`minilocal reproduce`: a table or figure of a paper, ours beside what is printed.

Cells are trained at a scale: "tiny" is minutes on two cores, "small" a subset of the paper's data, "full" the paper's
recipe. What needs no training, as the memory of a step, is shown at full size. The folder is that of a sweep, and goes
on as one: the same command, with more rows or trials too, trains what is missing. The report, with the experiment's
table first, is in its folder report.

NAME is an experiment of --list, or the path of a .toml file of your own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilocal.cli.parser import Parser
from minilocal.cli.sweep import add_flags_of_the_starts
from minilocal.errors import UserError, unknown

if TYPE_CHECKING:
    from minilocal.reproduce import Plan

REPORT = "report"  # the folder of the report, in the experiment's


def parser() -> Parser:
    """The options of `minilocal reproduce`."""
    p = Parser("reproduce", __doc__)
    p.add_argument("name", nargs="?", metavar="NAME", help="an experiment; without it, --list shows all")
    p.add_argument("--scale", metavar="SCALE", default="tiny", help="tiny, small or full (tiny)")
    p.add_argument("--rows", metavar="ROWS", help="names or patterns, separated by commas: 'cifar10-resnet32-*'")
    p.add_argument("--cells", metavar="CELLS", help="the same for single cells: '*-K16'")
    p.add_argument("--trials", metavar="N", type=int, help="seeds 0 to N-1 of each cell, by default the scale's number")
    p.add_argument("--set", metavar="T.K=V", action="append", default=[], help="a key of every cell: optim.epochs=2")
    p.add_argument("--out", metavar="DIR", help="the folder; by default reproduce/NAME-SCALE")
    p.add_argument("--data-dir", metavar="DIR", help="the folder of the data sets' files")
    p.add_argument("--threads", metavar="N", type=int, help="threads of a process (all cores)")
    p.add_argument("--kernels", metavar="KIND", help="kernels on the CPU: numpy, numba, auto (numpy)")
    add_flags_of_the_starts(p)
    return p


def run(options: argparse.Namespace) -> int:
    """Train what is missing, print the experiment's tables, and write the report."""
    from minilocal.cli.sweep import plan as of_sweep
    from minilocal.cli.sweep import starts
    from minilocal.kernels.threads import using_threads
    from minilocal.ops.kinds import using
    from minilocal.reproduce import listing, load, opened
    from minilocal.reproduce.folder import default_folder
    from minilocal.reproduce.plan import plan
    from minilocal.sweep import table

    if options.name is None:
        _check_alone(options)
        print(listing.experiments())
        return 0
    devices = of_sweep.devices(options.device)
    jobs = of_sweep.jobs(options.jobs, devices)
    changes, machine, data = _settings(options)
    asked = plan(
        load(options.name), options.scale, trials=options.trials, rows=options.rows, cells_=options.cells,
        changes=changes,
    )  # fmt: skip
    if options.list:
        with using(machine.get("run.kernels", "numpy")), using_threads(machine.get("run.threads")):
            print(listing.of_plan(asked))
        return 0
    if not asked.experiment.trains:
        return _show(asked, options, {**machine, **data})
    for remark in asked.remarks:
        print(f"minilocal: {remark}", file=sys.stderr)
    path = Path(options.out) if options.out is not None else default_folder(asked)
    record, queue = opened(path, asked)
    if options.status:
        print(table.by_cell(queue, queue.states()))
        return 0
    machine_data = {"data.download": False, **data}
    work = starts.Work(
        record.on(machine_data), queue.on(machine_data), machine, devices, jobs, _command(options, path),
        partial(_results, path),
    )  # fmt: skip
    return starts.start(work, options)


def _check_alone(options: argparse.Namespace) -> None:
    """Raises: UserError for anything else than --list where no experiment is named."""
    from minilocal.reproduce import SCALES

    if not options.list:
        raise UserError("reproduce: give the NAME of an experiment; minilocal reproduce --list shows all.")
    for name, value in vars(options).items():
        if name not in ("list", "scale") and value:
            flag = name.replace("_", "-")
            raise UserError(f"--{flag} met --list without the NAME of an experiment: give it, or leave --{flag} out.")
    if options.scale not in SCALES:
        raise unknown("scale", options.scale, SCALES)


def _show(asked: Plan, options: argparse.Namespace, machine: dict[str, Any]) -> int:
    """Print what an experiment shows that trains nothing, and write its report.

    Of the keys of this machine it takes the kernels, where it times units.
    """
    from minilocal.ops.kinds import using
    from minilocal.record.output import check_output
    from minilocal.report import FORMATS, write
    from minilocal.report.document import Document, Section, Table
    from minilocal.reproduce import Result, section
    from minilocal.reproduce.listing import as_text

    flags, kernels = ["trials", "jobs", "device", "slurm", "status", "retry", "threads", "data_dir"], "numpy"
    if "run-time" in asked.experiment.views:
        kernels = str(machine.pop("run.kernels", kernels))
    else:
        flags.append("kernels")
    words = [f"--{flag.replace('_', '-')}" for flag in flags if getattr(options, flag)]
    if word := next(iter([*words, *machine]), None):
        raise UserError(f"{word} met {options.name}, which trains nothing: leave it out.")
    path = Path("reproduce", asked.experiment.name) if options.out is None else Path(options.out)
    check_output(path / REPORT, "folder", "reproduce: --out", names=("report.html", "report.md"))
    with using(kernels):
        own = section(asked, [Result(planned) for planned in asked.taken])
    tables = [part for part in own.parts if isinstance(part, Table)]
    records: dict[str, list[dict[str, object]]] = {
        f"table-{number}": [{**row} for row in table.rows] for number, table in enumerate(tables, 1)
    }
    about = [asked.experiment.about] if asked.experiment.about else []
    shown = Section("At full size, without training", own.parts[len(about) :])
    files = write(Document(own.heading, about, [shown], records), path / REPORT, FORMATS)
    print(f"{as_text(own)}\n\n{_where(files)}")
    return 0


def _where(files: Sequence[Path]) -> str:
    return f"report: {files[0]}, and {len(files) - 1} more files beside it"


def _settings(options: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The keys of --set that change every cell, and those of this machine: of [run] and of [data]."""
    from minilocal.config import parse_setting
    from minilocal.ops.kinds import checked_kind
    from minilocal.train.same_run import MACHINE

    keys: dict[str, Any] = {}
    for text in options.set:
        keys |= parse_setting(text)[1]
    changes = {key: value for key, value in keys.items() if key not in MACHINE}
    machine = {key: value for key, value in keys.items() if key in MACHINE and key.startswith("run.")}
    data = {key: value for key, value in keys.items() if key in MACHINE and key.startswith("data.")}
    if options.threads is not None:
        machine["run.threads"] = options.threads
    if options.kernels is not None:
        checked_kind(options.kernels)
        machine["run.kernels"] = options.kernels
    if options.data_dir is not None:
        data["data.dir"] = options.data_dir
    return changes, machine, data


def _command(options: argparse.Namespace, path: Path) -> list[str]:
    """The words of a command that goes on with this one, on this machine or as a Slurm task."""
    from minilocal.record.place import as_word

    words = ["reproduce", options.name, "--scale", options.scale]
    words += ["--out", as_word(path if options.slurm is None else path.absolute())]
    for flag in ("rows", "cells", "trials"):
        if (value := getattr(options, flag)) is not None:
            words += [f"--{flag}", str(value)]
    words += [word for text in options.set for word in ("--set", text)]
    return words + (["--data-dir", as_word(options.data_dir)] if options.data_dir is not None else [])


def _results(path: Path) -> str:
    """Write the report of a folder; return the experiment's tables and where the report is."""
    from minilocal.report import build
    from minilocal.reproduce.listing import as_text
    from minilocal.reproduce.section import of_folder

    own, records = of_folder(path)
    try:
        report = build([path], path / "report", first=[own], first_records={"experiment": records})
    except UserError as error:  # no run has an epoch yet
        return f"{as_text(own)}\n\nno report: {error}"
    return f"{as_text(own)}\n\n{_where(report.write())}"
