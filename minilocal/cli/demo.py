"""`minilocal demo`: BP, GLL and BackLink on real images, offline, in about a minute: a table and a report."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

NET, MODULES, AUX = "resnet14", 7, "0c1f"
OPTIM: dict[str, Any] = {"lr": 0.1, "schedule": "cosine", "batch_size": 64, "epochs": 5, "weight_decay": 1e-4}
RULES: dict[str, dict[str, Any]] = {
    "BP": {"name": "bp"},
    "GLL": {"name": "gll", "aux": AUX},
    "BackLink": {"name": "backlink", "length": 1, "alpha": 0.5, "aux": AUX},
}


@dataclass(frozen=True)
class Seen:
    """What one rule has shown: test error per epoch, training seconds, peak bytes of a step, what crosses downward."""

    errors: list[float]
    seconds: float
    peak: int
    crosses: str


def parser() -> Parser:
    """The options of `minilocal demo`."""
    p = Parser("demo", __doc__)
    p.add_argument("--out", metavar="DIR", default="runs/demo", help="where the runs and report.html go (runs/demo)")
    p.add_argument("--seed", metavar="N", type=int, default=0, help="names all chance (0)")
    p.add_argument("--epochs", metavar="N", type=int, default=OPTIM["epochs"], help=f"passes ({OPTIM['epochs']})")
    return p


def run(options: argparse.Namespace) -> int:
    """Trains the three rules from one seed, measures a step of each, and writes the report."""
    from minilocal import record

    began, out = time.perf_counter(), Path(options.out)
    print(f"{NET} in {MODULES} modules on the embedded digits: 1437 images to learn from, 360 to be tested on.\n")
    print(_row("rule", "test error (%) after each epoch", options, "seconds", "peak KB", "crosses downward"))
    seen = {name: _try(name, rule, options, out) for name, rule in RULES.items()}
    spared = _peak(_config({"name": "bp", "keep": "inputs"}, options, None))
    lines = _findings(seen, spared)
    print("\n" + "\n".join(lines))
    with record.written_aside(out / "report.html") as file:
        file.write(_report(seen, spared, lines, options).encode())
    print(f"\nreport: {out / 'report.html'}        {time.perf_counter() - began:.0f} s in all")
    return 0


def _config(rule: dict[str, Any], options: argparse.Namespace, out: Path | None) -> Any:
    from minilocal.config import from_tables

    optim = {**OPTIM, "epochs": options.epochs}
    run = {"seed": options.seed, "out": str(out) if out else None}
    tables = {
        "rule": rule,
        "net": {"name": NET, "modules": MODULES},
        "data": {"name": "digits"},
        "optim": optim,
        "run": run,
    }
    return from_tables(tables, "minilocal demo")


def _try(name: str, rule: dict[str, Any], options: argparse.Namespace, out: Path) -> Seen:
    """One run, its errors printed as they come."""
    from minilocal import rules
    from minilocal.train import train

    folder = out / name.lower()
    config = _config(rule, options, folder)
    _make_way(folder, config)
    errors: list[float] = []

    def live(row: dict[str, Any]) -> None:
        errors.append(row["test_error"])
        if sys.stdout.isatty():  # the line so far; the next epoch's bar takes its place, and gives it back
            print("\r" + _row(name, _numbers(errors), options), end="", flush=True)

    result = train(config, on_epoch=live)
    seconds, made = sum(row["seconds"] for row in result.rows), rules.get(config.rule.name, **config.rule.options)
    seen = Seen(errors, seconds, _peak(config), made.crosses.describe())
    start = "\r" if sys.stdout.isatty() else ""
    columns = f"{seconds:.1f}", f"{seen.peak / 1e3:.0f}", seen.crosses
    print(start + _row(name, _numbers(errors), options, *columns), flush=True)
    return seen


def _make_way(folder: Path, config: Any) -> None:
    """Removes the run that an earlier demo left in `folder`.

    Raises: UserError where the folder holds anything else, or its run is still under way.
    """
    from minilocal import record
    from minilocal.config import flatten, tables_of

    if not (folder / "config.json").exists():
        return
    with record.Folder(folder):  # locks it
        then, now = (flatten(tables, str(folder)) for tables in (record.config(folder), tables_of(config)))
        free = ("optim.epochs", "run.seed", "run.threads", "run.out")
        if any(then.get(key) != now.get(key) for key in then.keys() | now.keys() if key not in free):
            raise UserError(f"{folder} holds a run that is not the demo's, and it stays: give another --out.")
        shutil.rmtree(folder)


def _row(
    name: str, errors: str, options: argparse.Namespace, seconds: str = "", peak: str = "", crosses: str = ""
) -> str:
    return f"{name:10} {errors:{max(32, 6 * options.epochs)}} {seconds:>7} {peak:>8}  {crosses}"


def _numbers(errors: list[float]) -> str:
    return " ".join(f"{error:5.1f}" for error in errors)


def _peak(config: Any) -> int:
    """Bytes that a step takes above parameters, statistics and momentum: the second step, so that scratch is warm."""
    from minilocal.measure import Meter
    from minilocal.train import build

    dataset, learner = build(config)
    n = config.optim.batch_size
    x, y = dataset.normalise(dataset.train_x[:n], config.run.dtype), dataset.train_y[:n]
    learner.step(x, y, lr=config.optim.lr)
    with Meter() as meter:
        learner.step(x, y, lr=config.optim.lr)
    return meter.peak


def _findings(seen: dict[str, Seen], spared: int) -> list[str]:
    """What these runs show, said from their numbers, and what they do not."""
    final = {name: s.errors[-1] for name, s in seen.items()}
    bp, gll, link = (final[n] for n in ("BP", "GLL", "BackLink"))
    peak = {name: s.peak / seen["BP"].peak for name, s in seen.items()}
    if gll <= bp:
        between = "GLL is not worse than BP here, so there is nothing to win back"
    elif link < gll:
        between = f"BackLink wins back {gll - link:.1f} of the {gll - bp:.1f} points between GLL and BP"
    else:
        between = "BackLink won nothing back in this run"
    return [
        f"Last test error: BP {bp:.1f} %, GLL {gll:.1f} %, BackLink {link:.1f} %: {between}.",
        f"Peak bytes of a step, BP = 1: GLL {peak['GLL']:.2f}, BackLink {peak['BackLink']:.2f}; BP checkpointed at "
        f"the same boundaries {spared / seen['BP'].peak:.2f}, for one more forward.",
        "One seed, a small network, small images: an illustration of the rules, no evidence for any of them.",
    ]


def _report(seen: dict[str, Seen], spared: int, lines: list[str], options: argparse.Namespace) -> str:
    from minilocal import draw, rules
    from minilocal.draw.page import Page

    page = Page("Three rules, one seed: BP, GLL and BackLink on handwritten digits")
    page.text(
        f"{NET} cut into {MODULES} modules of one unit each, {options.epochs} epochs, seed {options.seed}, linear "
        f"auxiliary classifiers ({AUX}). Made by `minilocal demo --seed {options.seed} --epochs {options.epochs}`."
    )
    for line in lines:
        page.text(line)
    page.heading("Test error")
    page.figure(
        draw.to_svg(draw.curves({n: s.errors for n, s in seen.items()})), "Error on 360 images after each epoch."
    )
    page.heading("Memory")
    peaks = {n: s.peak / 1e6 for n, s in seen.items()} | {"BP, checkpointed": spared / 1e6}
    label = "peak of one step, MB, above parameters, statistics and momentum"
    page.figure(
        draw.to_svg(draw.bars(peaks, label=label, form="{:.2f}")),
        f"Measured by tracemalloc, batch {OPTIM['batch_size']}.",
    )
    page.heading("What crosses a boundary")
    for rule in RULES.values():
        made = rules.get(**rule)
        page.figure(draw.to_svg(draw.rule_picture(made, MODULES, MODULES)), made.describe())
    page.heading("The numbers")
    page.table(
        [
            {
                "rule": name, "last test error": f"{s.errors[-1]:.1f} %", "training": f"{s.seconds:.1f} s",
                "peak bytes": f"{s.peak:,}", "crosses downward": s.crosses,
            }
            for name, s in seen.items()
        ]
    )  # fmt: skip
    return page.html()
