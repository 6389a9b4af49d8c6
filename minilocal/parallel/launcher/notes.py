"""The notes that ranks leave as JSON: one that is damaged, or not yet there, says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minilocal.errors import printable
from minilocal.record.files import parsed

ERROR: Mapping[str, type | tuple[type, ...]] = {"kind": str, "message": str, "traceback": str, "time": (int, float)}
WAITS: Mapping[str, type | tuple[type, ...]] = {"where": str, "traceback": str}


def note(path: Path, kinds: Mapping[str, type | tuple[type, ...]] | None = None) -> dict[str, Any]:
    """What a note says, its texts printable but for a traceback's lines; {} where it cannot be read.

    kinds   the keys that it must have, and the types of their values; None: any keys, with texts
    """
    try:
        content = parsed(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    wanted = dict.fromkeys(content, str) if kinds is None else kinds
    if not all(isinstance(content.get(key), kind) for key, kind in wanted.items()):
        return {}
    return {key: _shown(key, content[key]) for key in wanted}


def _shown(key: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return "\n".join(map(printable, value.split("\n"))) if key == "traceback" else printable(value)
