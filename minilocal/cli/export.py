"""`minilocal export RUN`: a trained run as one small file, or a table of such files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minilocal.cli.parser import Parser
from minilocal.errors import UserError

if TYPE_CHECKING:
    from minilocal.train.saved_run import SavedRun

ABOUT_FILE = (
    "The file is an .npz: parameters and running statistics by name, float32, and run.json, which holds the "
    "configuration, the images that the network takes, and the last epoch's errors. It has no optimiser state. "
    "minilocal predict FILE.npz takes it, minilocal train --set net.weights=FILE.npz starts from it, and "
    "minilocal train --config FILE.npz trains the same again."
)
ABOUT_OUT = "The default name says the data set, the network, the rule, its options and K: digits-resnet8-bp-K1.npz."
HEAD = ("file", "data set", "network", "rule", "K", "epochs", "seed", "test error, %", "test images", "KB")


def parser() -> Parser:
    """The options of `minilocal export`."""
    p = Parser("export", f"{__doc__}\n\n{ABOUT_FILE}\n\n{ABOUT_OUT}")
    p.add_argument("run", metavar="RUN", nargs="?", help="the folder of a run, finished or not")
    p.add_output("--out", kind="either", metavar="FILE.npz", help="the file, or a folder for it (this folder)")
    p.add_argument("--table", metavar="FILE.npz", nargs="+", help="print a Markdown table of these files instead")
    return p


def run(options: argparse.Namespace) -> int:
    """Export a run and print what the file holds, or print the table."""
    from minilocal.train import export
    from minilocal.train.saved_run import read

    if options.table is not None:
        if options.run is not None or options.out is not None:
            raise UserError("export: --table is for files that are there already: give it neither RUN nor --out.")
        print(table([read(path) for path in options.table]))
        return 0
    if options.run is None:
        raise UserError("export: give the folder of a run, as minilocal export runs/mine, or --table FILE.npz ...")
    file = export(options.run, options.out)
    saved = read(file)
    print(f"{file}: {len(saved.arrays)} arrays, {kilobytes(saved)} KB, {trained(saved)}: {tested(saved)}")
    return 0


def trained(saved: SavedRun) -> str:
    """`after epoch 10 of 10`, or `after epoch 1 of 10 and step 2 of the next`: how far a run has come."""
    step = f" and step {saved.steps} of the next" if saved.steps else ""
    return f"after epoch {saved.epochs} of {saved.config().optim.epochs}{step}"


def tested(saved: SavedRun) -> str:
    """`test error 3.89 % of 360 images`, or that none was recorded for these weights."""
    if saved.test_error is None:
        return "no test error was recorded for these weights"
    images = "" if saved.test_images is None else f" of {saved.test_images} images"
    return f"test error {saved.test_error:.2f} %{images}"


def kilobytes(saved: SavedRun) -> int:
    """The size of the file in units of 1000 bytes."""
    return -(-saved.path.stat().st_size // 1000)


def table(files: Sequence[SavedRun]) -> str:
    """Exported files as a Markdown table, a row each.

    Raises: UserError for a run's folder, and for a configuration that is not valid.
    """
    lines = [HEAD, tuple("---" for _ in HEAD), *map(row, files)]
    return "\n".join(f"| {' | '.join(line)} |".replace("| --- ", "|---").replace("--- |", "---|") for line in lines)


def row(saved: SavedRun) -> tuple[str, ...]:
    """A file's cells, one for each word of HEAD."""
    from minilocal import rules
    from minilocal.train.exported import LETTERS, options_to_name

    if not saved.is_exported:
        raise UserError(f"export: --table {saved.path} is a run's folder: make a file of it with minilocal export.")
    config = saved.config()
    d, modules, planned = config.data, config.net.modules, config.optim.epochs
    options = [f"{LETTERS.get(key, key)} = {value}" for key, value in options_to_name(config).items()]
    return (
        f"`{saved.path.name}`",
        d.name + (f", {d.limit_train} training images" if d.limit_train else ""),
        config.net.name,
        ", ".join([rules.get(config.rule.name, **config.rule.options).name, *options]),
        ", ".join(map(str, modules)) if isinstance(modules, list) else str(modules),
        str(planned) if saved.epochs == planned else f"{saved.epochs} of {planned}, unfinished",
        str(config.run.seed),
        "-" if saved.test_error is None else f"{saved.test_error:.2f}",
        "-" if saved.test_images is None else str(saved.test_images),
        str(kilobytes(saved)),
    )
