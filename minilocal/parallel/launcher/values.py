"""Arguments and results of ranks as files: NumPy's npz with a JSON of their structure. Nothing is ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from minilocal.errors import UserError
from minilocal.record.files import parsed
from minilocal.record.npz import BadArchive, opened_npz

KINDS = "None, a bool, a number, a str, a list, a tuple, a dict or a NumPy array"
STRUCTURE = "structure"


def save(path: Path, value: Any, what: str) -> None:
    """Write a value; `what` names it in errors, as "a rank's result".

    Raises: UserError for anything that a file cannot give back as it was.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        text = json.dumps(_packed(value, arrays, what))
    except RecursionError:
        raise UserError(f"{what} contains itself, or is nested too deeply: give {KINDS}.") from None
    part = path.with_name(f".{path.name}")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, **{STRUCTURE: np.frombuffer(text.encode(), np.uint8)}, **arrays)
    part.replace(path)


def load(path: Path) -> Any:
    """The value that `save` wrote.

    Raises: UserError where the file is missing or damaged.
    """
    try:
        with opened_npz(path) as arrays:
            return _unpacked(parsed(arrays[STRUCTURE].tobytes()), arrays)
    except BadArchive as error:
        raise UserError(f"{path} cannot be read: {error}.") from None


def _packed(value: Any, arrays: dict[str, np.ndarray], what: str) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_packed(one, arrays, what) for one in value]
    if kind is tuple:
        return {"tuple": [_packed(one, arrays, what) for one in value]}
    if kind is dict:
        return {"dict": [[_packed(key, arrays, what), _packed(one, arrays, what)] for key, one in value.items()]}
    if kind is np.ndarray or isinstance(value, np.generic):
        array = np.asarray(value)
        if not array.dtype.hasobject:
            name = f"array{len(arrays)}"
            arrays[name] = array
            return {"array" if kind is np.ndarray else "scalar": name}
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    article = "an" if name[0] in "aeiou" else "a"
    named = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else f"{article} {name}"
    raise UserError(f"{what} is or contains {named}: give {KINDS}.")


def _unpacked(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(_unpacked(one, arrays) for one in content)
    if kind == "dict":
        return {_unpacked(key, arrays): _unpacked(one, arrays) for key, one in content}
    return arrays[content] if kind == "array" else arrays[content][()]
