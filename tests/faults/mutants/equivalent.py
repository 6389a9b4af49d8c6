"""Mutants that compute what the code computes, with the reason of each: no test can kill them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

LISTED = Path(__file__).with_name("equivalent.toml")

Change = tuple[str, str, str]
"""A module, a line of it, and the line that the mutant makes of it."""


def change(verdict: dict[str, Any]) -> Change:
    """The change of a mutant that was tried."""
    return verdict["mutant"]["module"], verdict["before"], verdict["after"]


def equivalent() -> dict[Change, str]:
    """{change: reason}."""
    rows = tomllib.loads(LISTED.read_text()).get("mutant", [])
    return {(row["module"], row["before"], row["after"]): row["reason"] for row in rows}
