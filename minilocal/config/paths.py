"""Paths in a configuration: `~` is the home folder, and paths that a run reads become absolute.

So a run can be resumed and predicted from any folder. `[run] out` stays relative: only a new run reads it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

from minilocal import data
from minilocal.config.schema import TABLES, Config, FilePath
from minilocal.errors import UserError
from minilocal.rules.from_file import is_own

SCHEMES = [name.removesuffix(":PATH") for name in data.NAMES if name.endswith(":PATH")]  # as in npz:mine.npz


def expanded(config: Config, source: Callable[[str], str] = lambda key: "") -> Config:
    """`config` with every path in it expanded, and absolute but for `[run] out`.

    `source(key)` is " (SOURCE)" for keys that were set, for errors.

    Raises: UserError for a path that no file can have.
    """
    tables: dict[str, msgspec.Struct] = {}
    for name, kind in TABLES.items():
        table = getattr(config, name)
        values = {key: getattr(table, key) for key in _path_keys(kind)}
        paths = {key: absolute(path, f"{name}.{key}", source) for key, path in values.items() if path is not None}
        tables[name] = msgspec.structs.replace(table, **paths)
    changed = msgspec.structs.replace(config, **tables)
    scheme, _, path = changed.data.name.partition(":")
    if path and scheme in SCHEMES:
        images = msgspec.structs.replace(changed.data, name=f"{scheme}:{absolute(path, 'data.name', source)}")
        changed = msgspec.structs.replace(changed, data=images)
    if is_own(changed.rule.name):
        path, _, rule = changed.rule.name.rpartition(":")
        path, rule = (path, f":{rule}") if path else (rule, "")
        own = msgspec.structs.replace(changed.rule, name=absolute(path, "rule.name", source) + rule)
        changed = msgspec.structs.replace(changed, rule=own)
    if changed.run.out is not None:
        out = os.path.expanduser(_possible(changed.run.out, "run.out", source))
        changed = msgspec.structs.replace(changed, run=msgspec.structs.replace(changed.run, out=out))
    return changed


@cache
def _path_keys(kind: type[msgspec.Struct]) -> list[str]:
    """The keys of a table that take a path."""
    hints = get_type_hints(kind, include_extras=True)
    return [key for key, hint in hints.items() if FilePath in (hint, *get_args(hint))]


def absolute(path: str, key: str, source: Callable[[str], str]) -> str:
    """The path from the root, `~` expanded."""
    return str(Path(os.path.expanduser(_possible(path, key, source))).absolute())


def moved(name: str, folder: str) -> str:
    """A data set's name with its file in `folder`: npz:/old/mine.npz becomes npz:folder/mine.npz."""
    scheme, _, path = name.partition(":")
    return f"{scheme}:{Path(folder, Path(path).name)}" if path and scheme in SCHEMES else name


def _possible(path: str, key: str, source: Callable[[str], str]) -> str:
    if "\0" in path:
        raise UserError(f"{key} = {path!r}{source(key)} is no path: a path holds no zero byte.")
    return path
