"""Sources of a configuration, read: a TOML file, a run's config.json, a flag, `--set table.key=value`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from minilocal import record
from minilocal.config import toml
from minilocal.config.expected import is_text_key
from minilocal.config.sources import Source, flatten
from minilocal.errors import UserError, check_file, path_of, reason
from minilocal.record.files import parsed
from minilocal.rules.text import value as text_value

EXAMPLE = "minilocal train --show prints one that is right"
FLAGS = {  # the short flags and their keys; every key has --set table.key=value
    "--rule": "rule.name",
    "--length": "rule.length",
    "--alpha": "rule.alpha",
    "--weighting": "rule.weighting",
    "--aux": "rule.aux",
    "--net": "net.name",
    "--modules": "net.modules",
    "--balance": "net.balance",
    "--dataset": "data.name",
    "--data-dir": "data.dir",
    "--no-download": "data.download",
    "--limit-train": "data.limit_train",
    "--limit-test": "data.limit_test",
    "--augment": "data.augment",
    "--epochs": "optim.epochs",
    "--batch-size": "optim.batch_size",
    "--lr": "optim.lr",
    "--schedule": "optim.schedule",
    "--momentum": "optim.momentum",
    "--weight-decay": "optim.weight_decay",
    "--seed": "run.seed",
    "--device": "run.device",
    "--dtype": "run.dtype",
    "--tf32": "run.tf32",
    "--cuda-graph": "run.cuda_graph",
    "--no-cuda-graph": "run.cuda_graph",
    "--threads": "run.threads",
    "--kernels": "run.kernels",
    "--processes": "run.processes",
    "--out": "run.out",
}
SWITCHES = {  # flags without a value, and the value that they set
    "--no-download": False,
    "--augment": True,
    "--tf32": True,
    "--cuda-graph": True,
    "--no-cuda-graph": False,
}


def read_file(path: str | Path) -> Source:
    """A file as a source: TOML, or the config.json of a run or its exported file, for a new run with the same keys.

    Raises: UserError when the file is missing, is neither, or holds a key outside the five tables.
    """
    path = path_of("configuration", path)
    check_file(path)
    if record.is_exported(path):
        return str(path), _of_another_run(flatten(record.read_exported(path)[1]["config"], str(path)))
    is_json = False
    try:
        text = path.read_text(encoding="utf-8-sig")  # other people's editors write a byte order mark
        is_json = text.lstrip().startswith("{")
        tables = parsed(text) if is_json else toml.tables(text)
    except OSError as error:
        raise UserError(f"configuration {path}: {error.strerror}. Give a file; {EXAMPLE}.") from None
    except ValueError as error:  # letters, grammar, or too many digits or brackets
        kind = "JSON" if is_json else "TOML"
        raise UserError(f"configuration {path} is not {kind}: {reason(error)}; {EXAMPLE}.") from None
    flat = flatten(tables, str(path))
    return str(path), _of_another_run(flat) if is_json else flat


def _of_another_run(flat: dict[str, Any]) -> dict[str, Any]:
    """The keys of a run that another run may have too."""
    return {key: value for key, value in flat.items() if key not in ("run.out", "rule.sha256")}


def parse_setting(text: str) -> Source:
    """`table.key=value`, as --set takes it, as a source of one key.

    Raises: UserError for other text.
    """
    key, equals, value = str(text).partition("=")
    key = key.strip()
    if not equals or "." not in key:
        raise UserError(f"--set {text!r} is not table.key=value, as in --set optim.nesterov=true.")
    return "--set", {key: value_of(key, value.strip())}


def value_of(key: str, text: str) -> Any:
    """The value of a word on the command line: text where `key` takes text only, else as in TOML.

    `4,4,4,4` and `5,0.5,1,2` are lists too, and `.5` and `1e-4` are numbers.
    """
    if is_text_key(key):
        return text
    if re.fullmatch(r"[+-]?\d[\d_.e+-]*(,[+-]?\d[\d_.e+-]*)+", text):
        text = f"[{text}]"
    return text_value(text)
