"""`minilocal sweep`: a grid of runs. Every flag and key of `minilocal train` may have several values.

Values are separated by commas: --lr 0.1,0.05. Values with commas of their own are separated by semicolons, and a single
one ends in it: --modules '3,3,2;4'. A flag given again adds values. The grid is the product of all.

The folder of the sweep has a run folder for each cell. The same command goes on where the last one stopped, and so does
`minilocal sweep --out DIR`; several of them, on any machines that share the folder, divide the cells.
"""

from __future__ import annotations

import argparse
from functools import partial

from minilocal.cli.parser import Parser
from minilocal.cli.train import add_flags, presets


def parser() -> Parser:
    """The options of `minilocal sweep`."""
    from minilocal.cli.options import of_the_rules
    from minilocal.config import FLAGS
    from minilocal.sweep.words import values

    keys = {key: flag for flag, key in FLAGS.items()}
    p = Parser("sweep", __doc__, more=partial(of_the_rules, flags=keys, values=partial(values, "--rule")))
    p.add_argument("--out", metavar="DIR", help="the sweep's folder; by default sweeps/ and a name from the grid")
    p.add_argument("--seeds", metavar="SEEDS", help="0-4, or 0,3,7, or 0-4,10")
    add_flags_of_the_starts(p)
    add_flags(p, ("--out", "--processes", "--device"), action="append")
    p.add_argument("--config", metavar="FILE", action="append", help="a TOML file of the five tables, or a config.json")
    p.add_argument("--preset", metavar="NAME", action="append", help=f"a published recipe: {', '.join(presets())}")
    p.add_argument("--set", metavar="T.K=V", action="append", default=[], help="any other key, as optim.nesterov=true")
    return p


def add_flags_of_the_starts(p: Parser) -> None:
    """Add what says where cells are trained, and what is only shown: the flags of `starts`."""
    p.add_argument("--jobs", metavar="N", type=int, help="processes on this machine, which divide its cores (1)")
    p.add_argument("--device", metavar="DEV", help="cpu, cuda, or one process for each of several GPUs: cuda:0,1")
    p.add_output(
        "--slurm",
        makes_folder=True,
        metavar="FILE",
        help="write a Slurm array script of one task a cell, --jobs at a time; train nothing here",
    )
    p.add_argument("--list", action="store_true", help="print the cells; train nothing")
    p.add_argument(
        "--status", action="store_true", help="print the state of each cell, from the folders; train nothing"
    )
    p.add_argument("--retry", action="store_true", help="train the cells that failed again")


def run(options: argparse.Namespace) -> int:
    """Train what is left of the grid, and print a row for each configuration."""
    from minilocal.cli.sweep import plan, starts
    from minilocal.sweep import table

    devices = plan.devices(options.device)
    jobs = plan.jobs(options.jobs, devices)
    queue, machine = plan.planned(options)
    if options.list or options.status:
        print(table.by_cell(queue, queue.states() if options.status else None))
        return 0
    path = queue.path if options.slurm is None else queue.path.absolute()
    results = partial(table.by_configuration, queue)
    work = starts.Work(queue, queue, machine, devices, jobs, ["sweep", "--out", str(path)], results)
    return starts.start(work, options)
