"""What minutes of changed files gave, a row a reader, in a file that grows: a reader with a row is not tried again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.faults import measured
from tests.faults.mutants.covering import text_of
from tests.faults.readers.reader import Reader

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "docs/results/trust/fuzz.jsonl"


@dataclass(frozen=True)
class Row:
    """A reader, the digest of its code, the seed, minutes on the clock, the date, and what came out."""

    reader: str
    code: str
    seed: int
    minutes: float
    date: str
    inputs: int
    refused: int
    new_lines: int
    findings: tuple[str, ...]


def code_of(reader: Reader) -> str:
    """A digest of the text of the modules that read: what a row holds for."""
    files = []
    for name in sorted(reader.modules):
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None, name
        files.append(spec.origin)
    return text_of(*files)


def append(row: Row) -> None:
    """Adds a row at the end of the file."""
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    with ROWS.open("a") as file:
        file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def read(readers: Sequence[Reader]) -> dict[str, Row]:
    """{name: the last row} of these readers, where their code is still that of the row; a cut line is left out."""
    codes = {reader.name: code_of(reader) for reader in readers}
    last: dict[str, Row] = {}
    for fields in measured.rows(ROWS):
        row = Row(**{**fields, "findings": tuple(fields["findings"])})
        if codes.get(row.reader) == row.code:
            last[row.reader] = row
    return last
