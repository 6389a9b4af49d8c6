"""The values that a key of the five tables takes, in words made from its type, and the error for any other value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from minilocal.config.schema import TABLES
from minilocal.errors import UserError

SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def takes(key: str) -> str:
    """The values that `key` takes, in a few words: its Meta's description, else its type, as "int >= 1"."""
    table, _, name = key.partition(".")
    words = list(dict.fromkeys(_words(get_type_hints(TABLES[table], include_extras=True)[name])))
    return words[0] if len(words) == 1 else f"one of {', '.join(words)}"


def type_error(error: msgspec.ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]) -> UserError:
    """msgspec's error, "... - at `$.net.modules[0]`", as one line: key, value, source, and the values it takes."""
    match = re.search(r"at `\$\.(\w+\.\w+)", str(error))
    assert match, error
    key = match[1]
    return UserError(f"{key} = {values[key]!r} ({sources[key]}): expected {takes(key)}.")


def is_text_key(key: str) -> bool:
    """Whether a key takes text only: then `--out 5` is a folder and not a number."""
    table, _, name = key.partition(".")
    if table not in TABLES or name not in TABLES[table].__struct_fields__:
        return False
    hint = get_type_hints(TABLES[table])[name]
    return hint is str or get_origin(hint) is Literal or set(get_args(hint)) == {str, NoneType}


def _words(hint: Any) -> Iterator[str]:
    """One word for each kind of value."""
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        kind, *metas = arguments
        described = [meta.description for meta in metas if meta.description]
        ranges = [
            f"{sign} {limit:g}" for m in metas for at, sign in SIGNS.items() if (limit := getattr(m, at)) is not None
        ]
        yield from described or (f"{word} {' and '.join(ranges)}".rstrip() for word in _words(kind))
    elif get_origin(hint) in (Union, UnionType):
        yield from (word for member in arguments if member is not type(None) for word in _words(member))
    elif get_origin(hint) is Literal:
        yield from map(str, arguments)
    else:
        yield from ("true", "false") if hint is bool else (getattr(hint, "__name__", str(hint)),)
