"""`minilocal demo`: BP, GLL and BackLink on handwritten digits, offline, in about a minute: a table and a report.

Each rule trains from three seeds. Each run is an ordinary `minilocal train`, one on each core at a time.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

SEEDS, EPOCHS = 3, 5


def parser() -> Parser:
    """The options of `minilocal demo`."""
    p = Parser("demo", __doc__)
    p.add_output(
        "--out",
        kind="folder",
        names=("report.html",),
        metavar="DIR",
        default="runs/demo",
        help="where the runs and report.html go (runs/demo)",
    )
    p.add_argument(
        "--seed", metavar="N", type=int, default=0, help="the first seed: of initial weights and of the order (0)"
    )
    p.add_argument("--seeds", metavar="N", type=int, default=SEEDS, help=f"seeds of each rule ({SEEDS})")
    p.add_argument("--epochs", metavar="N", type=int, default=EPOCHS, help=f"passes over the images ({EPOCHS})")
    return p


def run(options: argparse.Namespace) -> int:
    """Train the three rules from every seed, measure a step of each, and write the report."""
    from minilocal import record
    from minilocal.cli.demo import recipe
    from minilocal.cli.demo.processes import run_all, width
    from minilocal.cli.demo.report import report
    from minilocal.cli.demo.results import Runs, findings
    from minilocal.cli.demo.table import Table
    from minilocal.train import Interrupted

    began, out = time.perf_counter(), Path(options.out)
    if options.seeds < 1:
        raise UserError(f"--seeds {options.seeds}: give 1 or more.")
    seeds = list(range(options.seed, options.seed + options.seeds))
    trained = {
        name: Runs(name, [recipe.config(rule, seed, options) for seed in seeds]) for name, rule in recipe.RULES.items()
    }
    checkpointed = Runs("BP, checkpointed", [recipe.config(recipe.CHECKPOINTED, seeds[0], options)])
    runs = [run for rule in trained.values() for run in rule.runs]
    recipe.make_way(runs)

    print(f"{recipe.NET} in {recipe.MODULES} modules on handwritten digits: 1437 to learn from, 360 to be tested on.")
    print(f"{len(runs)} runs, {width(len(runs))} at a time: each rule from seed {', '.join(map(str, seeds))}.\n")
    print(f"{'rule':9} what crosses a boundary between modules, downward")
    for rule in trained.values():
        print(f"{rule.name:9} {rule.rule.boundary.describe()}")
    print()
    try:
        with Table(list(trained.values())) as table:
            run_all([recipe.words(run) for run in runs], table.show)
            table.show()
    except Interrupted as stop:
        raise Interrupted(
            f"stopped; what was trained is saved in {out}. The same minilocal demo starts again from the beginning.",
            stop.number,
        ) from None
    lines = findings(trained, checkpointed)
    print("\n" + "\n".join(lines))
    with record.atomic_write(out / "report.html") as file:
        file.write(report(trained, checkpointed, lines).encode())
    print(f"\nreport: {out / 'report.html'}        {time.perf_counter() - began:.0f} s in all")
    return 0
