"""The cells of a py:percent file: a notebook as a Python file, each cell under a line `# %%`.

# %% tags=["parameters"] short="seeds = 1"
# %% [markdown]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minilocal.errors import UserError

HEAD = re.compile(r"# %%(?P<title>[^\[{=]*?)(?: \[(?P<kind>\w+)\])?(?P<options>(?: [\w-]+=.*)?)")


@dataclass(frozen=True)
class Cell:
    """One cell: its kind ("markdown", or "" for code), its options by name, and the lines below its head."""

    kind: str
    options: Mapping[str, Any]
    body: str
    title: str = ""

    @property
    def text(self) -> str:
        """The cell as it stands in the file."""
        kind = f" [{self.kind}]" if self.kind else ""
        options = "".join(f" {name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.options.items())
        return f"# %%{self.title}{kind}{options}\n{self.body}"

    @property
    def end(self) -> str:
        """The empty lines behind it."""
        return self.body[len(self.body.rstrip("\n")) :] or "\n"


def read(text: str) -> tuple[str, list[Cell]]:
    """What stands before the first cell, and the cells.

    Raises: UserError for options that are not NAME=VALUE, with the values as in JSON.
    """
    header, *cells = re.split(r"^(?=# %%)", text, flags=re.M)
    return header, [_cell(*cell.partition("\n")) for cell in cells]


def _cell(line: str, _: str, body: str) -> Cell:
    head = HEAD.fullmatch(line.rstrip())
    if head is None:
        raise _unread(line)
    options, rest = {}, head["options"].strip()
    while rest:
        name, _, value = rest.partition("=")
        try:
            options[name], end = json.JSONDecoder().raw_decode(value)
        except (ValueError, RecursionError):  # no JSON, too many digits, or too many brackets
            raise _unread(line) from None
        rest = value[end:].strip()
    return Cell(head["kind"] or "", options, body, head["title"])


def _unread(line: str) -> UserError:
    return UserError(f'"{line}" cannot be read: write a cell\'s options as # %% tags=["solution"] exercise="4a".')
