"""A trained run in one small file, an .npz.

    run.json                                            what was trained, on what, and how well: text, as JSON
    conv1.weight, bn1.running_mean, aux.0.2.bias, ...   parameters and running statistics by name, float32, compressed

It has no optimiser state: it is for predicting, and for starting other runs. Nothing in it is pickled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from minilocal.errors import UserError, path_of, reason
from minilocal.record.files import atomic_write, has_entry
from minilocal.record.npz import opened_npz

ENTRY, FORMAT = "run.json", 1
KINDS: dict[str, tuple[type, ...]] = {  # of the entry's values
    "config": (dict,), "images": (dict,), "data": (dict,), "epochs": (int,), "steps": (int,), "row": (dict, type(None)),
}  # fmt: skip
Exported = tuple[dict[str, np.ndarray], dict[str, Any]]  # (arrays, entry)


def write_exported(path: str | Path, arrays: Mapping[str, np.ndarray], entry: Mapping[str, Any]) -> None:
    """Write the file; one that another export wrote is replaced.

    Raises: UserError where anything else of that name is there, and where it cannot be written.
    """
    if os.path.lexists(path) and not is_exported(path):
        raise UserError(f"{path} is there already, and no file of minilocal export: choose another --out.")
    text = json.dumps({"format": FORMAT, **entry}, ensure_ascii=False, allow_nan=False)
    entries: dict[str, Any] = {ENTRY: np.array(text)} | {name: a.astype(np.float32) for name, a in arrays.items()}
    with atomic_write(path) as file:
        np.savez_compressed(file, **entries)


def read_exported(path: str | Path) -> Exported:
    """The arrays and the entry of an exported run. Each checksum is verified.

    Raises: UserError for a file that is missing, damaged, of another format, or no exported run.
    """
    path = path_of("path", path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. Give one that minilocal export has made.")
    try:
        with opened_npz(path) as entries:
            arrays = {name: entries[name] for name in entries.files}
        entry = _checked(str(arrays.pop(ENTRY))) if ENTRY in arrays else None
    except Exception as error:  # zipfile, zlib, NumPy and JSON raise many kinds for a damaged file
        raise UserError(f"{path} cannot be read ({reason(error)}). Give one that minilocal export has made.") from None
    if entry is None:
        raise UserError(f"{path} has no entry {ENTRY!r}, so it is no exported run: minilocal export writes one.")
    if entry["format"] != FORMAT:
        raise UserError(
            f"{path} is of format {entry['format']}, and this minilocal reads {FORMAT}: use the one that wrote it."
        )
    return arrays, entry


def _checked(text: str) -> dict[str, Any]:
    """The entry, with each value of a kind that it may have; nothing is known of another format.

    Raises: ValueError and others, whatever is wrong with it.
    """
    entry: dict[str, Any] = json.loads(text)
    wrong = [key for key, kinds in KINDS.items() if not isinstance(entry.get(key, ...), kinds)]
    if entry["format"] == FORMAT and wrong:
        raise ValueError(f"its {ENTRY} says nothing valid of its {wrong[0]}")
    return entry


def is_exported(path: str | Path) -> bool:
    """Whether `path` is a file that `write_exported` wrote, of whatever format."""
    return has_entry(path, ENTRY)


def check_no_export(path: str | Path) -> None:
    """Raises: UserError where `path` is an exported run: it cannot stand for a run's folder."""
    if is_exported(path):
        name = quote(str(path))
        raise UserError(
            f"{path} is an exported run, weights without rows of epochs and optimiser state: minilocal predict {name} "
            f"takes it, and a new run starts from it with --set net.weights={name}."
        )
