"""The part `readers` of `make trust`: mutated files for every reader."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.faults.measured import Figure, Measured
from tests.faults.page import ROOT, table
from tests.faults.readers.broken import broken
from tests.faults.readers.fuzz import Tried, tried
from tests.faults.readers.hostile import faults as hostile_faults
from tests.faults.readers.reader import FREE, LONGEST, SECONDS, Reader
from tests.faults.readers.table import ALL, READERS

TITLE = "Readers of files"
ABOUT = f"""
Every reader of files in the package is given files that are nearly right. A valid file is changed: bits, integers at
the edge of their range, chunks, and what its format knows, as fields of a zip's directory, headers of arrays and of
tar members, opcodes of a pickle, the inside of a compressed file, values of JSON and TOML. A file that takes the reader
to new lines is changed further. What must hold for each: it is read and what was read is valid, or it is refused by the
error that the reader documents, one printable line of at most {LONGEST} characters that names the file. That takes at
most {SECONDS:g} seconds of computing, and {FREE >> 20} MB of memory beyond the file's own size, traced and resident.
Nothing is executed, printed, or written, nor is the file changed. Files that were made to do harm come first.
Inputs are numbered: a seed and a number make the same file again. `make fuzz READER=npz` goes on for ten minutes.
"""
MINUTES = 8.0
SHARE_OF_FAULTS = 0.6  # minutes for the readers that are broken on purpose and for the hostile files
OUT = ROOT / "build/readers"


def run(minutes: float) -> Measured:
    """The hostile files, then an equal share of the minutes for each reader, then the broken ones."""
    failures, figures = [], []
    count, wrong = hostile_faults()
    figures.append(Figure("files made to do harm", count, count - len(wrong)))
    failures += wrong
    share = max(1.0, 60 * (minutes - SHARE_OF_FAULTS) / len(READERS))
    results: list[tuple[Reader, Tried, float]] = []
    for reader in READERS.values():
        start = time.monotonic()
        results.append((reader, tried(reader, seconds=share, out=OUT), time.monotonic() - start))
        failures += results[-1][1].findings
    for form, of_form in by_form(results).items():
        inputs = sum(result.inputs for _, result, _ in of_form)
        findings = sum(len(result.findings) for _, result, _ in of_form)
        refused = sum(result.refused for _, result, _ in of_form)
        figures.append(Figure(f"changed files, {form}", inputs, max(0, inputs - findings), f"{refused} refused"))
    return Measured(figures, broken(), failures, text(results))


def by_form(results: Iterable[tuple[Reader, Tried, float]]) -> dict[str, list[tuple[Reader, Tried, float]]]:
    """The results by the form of the files."""
    grouped: dict[str, list[tuple[Reader, Tried, float]]] = {}
    for row in results:
        grouped.setdefault(row[0].form, []).append(row)
    return dict(sorted(grouped.items()))


def text(results: Iterable[tuple[Reader, Tried, float]]) -> str:
    """The table of the readers, for the page."""
    rows = [
        (reader.name, reader.reads, result.inputs, result.refused, result.kept, f"{seconds:.0f}")
        for reader, result, seconds in results
    ]
    without = [name for name in ALL if name not in READERS]
    more = f"Not tried, as a library is missing: {', '.join(without)}.\n\n" if without else ""
    return table(("reader", "file", "inputs", "refused", "new lines", "seconds"), rows) + more
