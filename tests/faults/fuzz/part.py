"""The fuzzing section of the page: changed files for every reader, ten minutes each, two readers side by side."""

from __future__ import annotations

import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from multiprocessing import get_context

from tests.faults.fuzz.rows import ROOT, Row, append, code_of, read
from tests.faults.measured import Figure, Measured
from tests.faults.page import table
from tests.faults.readers.fuzz import tried
from tests.faults.readers.table import ALL, READERS

TITLE = "Readers of files, ten minutes each"
ABOUT = """
The changed files of "Readers of files", for ten minutes on the clock for each reader, two readers side by side. A row
holds for the code that it was measured with: where the modules of a reader change, it is tried again.
"""
EACH = 10.0
"""Minutes of a reader."""
MINUTES = EACH * len(READERS) / 2
SEED = 1  # the part `readers` has seed 0
WORKERS = 2
OUT = ROOT / "build/readers"


def run(minutes: float) -> Measured:
    """Tries the readers that have no row yet; none begins after so many minutes. Then all rows."""
    done_before = read(list(READERS.values()))
    left = [name for name in READERS if name not in done_before]
    end = time.monotonic() + 60 * minutes
    print(f"{len(READERS)} readers, {len(left)} to try", flush=True)
    if minutes <= 0:
        return measured()
    with ProcessPoolExecutor(WORKERS, get_context("spawn"), max_tasks_per_child=1) as pool:
        for done in as_completed([pool.submit(_row, name, end) for name in left]):
            if (row := done.result()) is not None:
                append(row)
                print(f"{row.reader}: {row.inputs} inputs, {len(row.findings)} findings", flush=True)
    return measured()


def _row(name: str, end: float) -> Row | None:
    """A reader's row; None where it is too late to begin."""
    if time.monotonic() > end:
        return None
    reader, date = READERS[name], datetime.now(UTC).date().isoformat()
    result = tried(reader, seed=SEED, seconds=60 * EACH, out=OUT)
    counts = (result.inputs, result.refused, result.kept)
    return Row(name, code_of(reader), SEED, EACH, date, *counts, tuple(result.findings))


def measured() -> Measured:
    """All rows that there are."""
    rows = [row for row in read(list(ALL.values())).values() if row.minutes >= EACH]
    rows.sort(key=lambda row: list(ALL).index(row.reader))
    inputs, findings = sum(row.inputs for row in rows), [line for row in rows for line in row.findings]
    figures = [Figure(f"changed files for {len(rows)} of {len(ALL)} readers", inputs, max(0, inputs - len(findings)))]
    cells = [(r.reader, r.inputs, r.refused, r.new_lines, len(r.findings), r.date) for r in rows]
    names = ("reader", "inputs", "refused", "new lines", "findings", "date")
    hours = f"{sum(row.minutes for row in rows) / 60:.1f} hours of one core in all.\n"
    return Measured(figures, failures=findings, text=table(names, cells) + "\n" + hours)
