"""Cells: one run each, in a folder that is named by the run's resolved configuration."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minilocal import rules
from minilocal.config import Config, flatten, from_tables, tables_of
from minilocal.errors import UserError, shown
from minilocal.rules.registry import changed
from minilocal.train.same_run import MACHINE

NAME = r"[A-Za-z0-9][\w.+-]*"  # of a cell's folder
LONGEST = 80  # letters before the hash
YOUNGER = {"run.convergence": 0, "run.probes": False}  # keys that earlier folders lack, and their values then


@dataclass(frozen=True)
class Cell:
    """One run of a grid.

    name    of its folder
    config  its resolved configuration
    labels  {"table.key": value} of the keys that vary over the grid
    """

    name: str
    config: Config
    labels: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, labels: dict[str, Any] | None = None) -> Cell:
        """The cell of a resolved configuration. One configuration has one name, whatever grid it is in."""
        return cls(f"{prefix(config)}-{fingerprint(config)}", config, labels or {})

    def to_json(self) -> dict[str, Any]:
        """The form that `sweep.json` holds."""
        return {"name": self.name, "labels": self.labels, "config": tables_of(self.config)}

    @classmethod
    def from_json(cls, entry: Any, source: str) -> Cell:
        """The cell in an entry of the file `source`; a key younger than the file has its default.

        Raises: UserError where the configuration is not valid, or the name is none of a folder in the sweep's.
        """
        parts = [entry.get(key) for key in ("name", "labels", "config")] if isinstance(entry, dict) else [None] * 3
        name, labels, config = parts
        if not isinstance(name, str) or not isinstance(labels, dict) or not isinstance(config, dict):
            raise UserError(f"{source} is damaged: a cell is {shown(entry)}, without name, labels and config.")
        if not re.fullmatch(NAME, name):
            raise UserError(f"{source} is damaged: a cell is called {shown(name)}, as no folder of its sweep.")
        return cls(name, from_tables(config, source), labels)


def fingerprint(config: Config) -> str:
    """A hash of every key but those that name the machine, and younger keys at their first value.

    A key that only adds entries to rows counts: a cell that was trained without it lacks them.
    """
    flat = flatten(tables_of(config), "")
    keys = {key: v for key, v in flat.items() if key not in MACHINE and YOUNGER.get(key, ...) != v}
    text = json.dumps(keys, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def prefix(config: Config) -> str:
    """Rule with the options that are not its defaults, network, K, data and seed: `gll-aux1c2f-resnet20-K4-...`."""
    rule = config.rule
    options = [f"{key}{value}" for key, value in changed(rule.name, rule.options).items()]
    scheme, _, path = config.data.name.partition(":")
    modules = config.net.modules
    cut = "x".join(map(str, modules)) if isinstance(modules, list) else modules
    parts = [
        rules.label(rule.name), *options, config.net.name, f"K{cut}", Path(path).stem if path else scheme,
        f"seed{config.run.seed}",
    ]  # fmt: skip
    words = [re.sub(r"[^A-Za-z0-9.+]+", "_", str(part)).strip("_.") for part in parts]
    return "-".join(filter(None, words))[:LONGEST].strip("-_.")
