"""A configuration as a TOML file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from minilocal.config.schema import Config, tables_of


def as_toml(config: Config) -> str:
    """Every key with its value, defaults too; keys that are None are left out."""
    blocks = []
    for name, table in tables_of(config).items():
        keys = [f"{key} = {_value(value)}" for key, value in table.items() if value is not None]
        blocks.append("\n".join([f"[{name}]", *keys, ""]))
    return "\n".join(blocks)


def _value(value: Any) -> str:
    """A value as TOML writes it: text as in JSON, numbers as in Python."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(str(key))} = {_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    return repr(value)
