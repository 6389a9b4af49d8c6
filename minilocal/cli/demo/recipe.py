"""The demo's runs: three rules on one small network, each from several seeds."""

from __future__ import annotations

import argparse
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from minilocal.config import FLAGS, Config, flatten, from_tables, tables_of
from minilocal.errors import UserError

NET, MODULES, AUX = "resnet14", 7, "0c1f"
OPTIM: dict[str, Any] = {"lr": 0.1, "schedule": "cosine", "batch_size": 64, "weight_decay": 1e-4}
DATA = {"name": "digits"}
RULES: dict[str, dict[str, Any]] = {
    "BP": {"name": "bp"},
    "GLL": {"name": "gll", "aux": AUX},
    "BackLink": {"name": "backlink", "length": 1, "alpha": 0.5, "aux": AUX},
}
CHECKPOINTED = {"name": "bp", "keep": "inputs"}  # activation checkpointing at the module boundaries


def config(rule: dict[str, Any], seed: int, options: argparse.Namespace) -> Config:
    """The configuration of one run, on one thread.

    Raises: UserError for --seed and --epochs out of range.
    """
    tables = {
        "rule": rule,
        "net": {"name": NET, "modules": MODULES},
        "data": DATA,
        "optim": {**OPTIM, "epochs": options.epochs},
        "run": {"seed": seed, "threads": 1, "out": str(Path(options.out) / f"{rule['name']}-seed{seed}")},
    }
    return from_tables(tables, "minilocal demo")


def words(run: Config, *, out: bool = True) -> list[str]:
    """The words after `minilocal` that train this run; without `out`, in a new folder."""
    defaults = flatten(tables_of(from_tables({"rule": {"name": run.rule.name}}, "")), "")
    asked = {
        k: v
        for k, v in flatten(tables_of(run), "").items()
        if (v != defaults[k] or k == "rule.name") and (out or k != "run.out")
    }
    return ["train", *(word for flag, key in FLAGS.items() if key in asked for word in (flag, str(asked[key])))]


def make_way(runs: list[Config]) -> None:
    """Create the folder of these runs and remove the runs of an earlier demo from it: all of them, or none.

    Raises: UserError where a folder holds another run or a running one, and where it cannot be created.
    """
    from minilocal import record

    with ExitStack() as locks:
        earlier = []
        for run in runs:
            folder = Path(str(run.run.out))
            if (folder / "config.json").exists():
                locks.enter_context(record.RunFolder(folder))  # locks it
                if not _of_the_demo(record.config(folder), run):
                    raise UserError(f"{folder} holds a run that is not the demo's: give another --out.")
                earlier.append(folder)
        for folder in earlier:
            shutil.rmtree(folder)
    for folder in {Path(str(run.run.out)).parent for run in runs}:
        record.make_folders(folder)


def _of_the_demo(tables: dict[str, Any], run: Config) -> bool:
    """Whether a recorded run differs from `run` only in its number of epochs."""
    then, now = flatten(tables, ""), flatten(tables_of(run), "")
    free = {"optim.epochs", "run.out"}
    return all(then[key] == now[key] for key in (then.keys() & now.keys()) - free)
