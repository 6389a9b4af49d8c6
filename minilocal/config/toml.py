"""TOML, read within bounds: a text of many dots or brackets keeps its parser busy for minutes, or ends it."""

from __future__ import annotations

import tomllib
from typing import Any

LONGEST = 1 << 16  # characters: a configuration or an experiment has a hundredth of them


def tables(text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises: ValueError, its text the reason, for any other text.
    """
    if len(text) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
