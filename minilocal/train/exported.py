"""A trained run as one small file: what it predicts with, and what it was.

The keys of a configuration that name the machine are not in it, nor is the place of initial weights.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from minilocal import record, rules
from minilocal.array import to_host
from minilocal.config import Config, flatten, from_tables, tables_of
from minilocal.errors import UserError, path_of
from minilocal.rules.registry import changed
from minilocal.train.same_run import MACHINE
from minilocal.train.saved_run import SavedRun, read

LETTERS = {"length": "l"}  # of options in names


def export(path: str | Path, out: str | Path | None = None) -> Path:
    """Write a run as of its last checkpoint into one .npz; return its path.

    `out` is the file, or a folder for it. By default it is in this folder, and its name says the data set, the
    network, the rule with its options, and K: `cifar10-resnet32-backlink-l1-K4.npz`.

    Raises: UserError when `path` holds no run, or one without a checkpoint; where its configuration is not valid any
    more; and where `out` cannot be written, or is another file.
    """
    run = read(path)
    if run.is_exported:
        raise UserError(f"{path} is an exported run already: copy it as it is.")
    config, learner = replace(run, tables=_of_any_machine(run)).build()  # what is exported can be loaded
    arrays = {name: to_host(a) for name, a in {**learner.parameters(), **learner.buffers()}.items()}
    file = Path() if out is None else path_of("out", out)
    file = file / f"{name(config)}.npz" if file.is_dir() else file
    record.write_exported(file, arrays, _entry(run, config))
    return file


def name(config: Config) -> str:
    """Data set, network, rule with the options that are not its defaults, K: `cifar10-resnet32-backlink-l1-K4`.

    The length is a part of it in any case, a seed where it is not 0.
    """
    scheme, _, path = config.data.name.partition(":")
    options = [f"{LETTERS.get(key, key)}{_written(value)}" for key, value in options_to_name(config).items()]
    modules = config.net.modules
    cut = "x".join(map(str, modules)) if isinstance(modules, list) else modules
    parts = [Path(path).stem if path else scheme, config.net.name, rules.label(config.rule.name), *options, f"K{cut}"]
    parts += [f"seed{config.run.seed}"] if config.run.seed else []
    return "-".join(re.sub(r"[^\w.+]+", "_", str(part)).strip("_") for part in parts)


def options_to_name(config: Config) -> dict[str, Any]:
    """The options of its rule that are not their defaults, and the length."""
    own = config.rule.options
    others = changed(config.rule.name, own)
    return {key: value for key, value in own.items() if key == "length" or key in others}


def _written(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _of_any_machine(run: SavedRun) -> dict[str, dict[str, Any]]:
    """The run's five tables, in which the keys of its machine have their defaults."""
    own = (*MACHINE, "net.weights")
    keys = {key: value for key, value in flatten(run.tables, f"{run.path}/config.json").items() if key not in own}
    tables: dict[str, dict[str, Any]] = {}
    for key, value in keys.items():
        table, _, short = key.partition(".")
        tables.setdefault(table, {})[short] = value
    return tables_of(from_tables(tables, f"{run.path}/config.json"))


def _entry(run: SavedRun, config: Config) -> dict[str, Any]:
    """What the file says of the run."""
    environment: dict[str, Any] = {}
    with suppress(UserError):  # a damaged one: what it says is not known
        environment = record.recorded_environment(run.path)
    weights, machine = environment.get("weights") or {}, run.tables.get("run", {})
    gpu = (environment.get("device") or {}).get("name", machine.get("device"))
    where = {"processor": environment.get("processor"), "device": gpu}
    where |= {key: machine.get(key) for key in ("tf32", "kernels")}
    return {
        "minilocal": environment.get("minilocal"),
        "git": environment.get("git"),
        "machine": where,
        "config": tables_of(config),
        "images": run.images.to_json(),
        "data": {"digest": run.data.get("digest"), "test_images": run.test_images},
        "initial_weights": weights.get("digest"),
        "epochs": run.epochs,
        "steps": run.steps,
        "row": run.row,
    }
