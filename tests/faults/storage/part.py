"""The part `storage` of `make trust`: every group of cases, and what their checks say without what they rely on."""

from __future__ import annotations

from tests.faults.measured import Figure, Measured
from tests.faults.storage import broken
from tests.faults.storage.groups import GROUPS, measure

TITLE = "Storage, signals and downloads"
ABOUT = """
Disks that fill, break or slow down at every single write, several writers of one folder, signals at any time, links,
pipes and devices in place of files, files that vanish, odd names and surroundings, and servers with ill manners.
What must hold: one line and a documented status, with nothing half-written left and everything else as it was; or the
work goes on, and a run ends with the bits of one that nothing has disturbed. Nothing hangs. `python -m
tests.faults.storage GROUP` tries one group.
"""
MINUTES = 8


def run(minutes: float) -> Measured:
    """Tries every case."""
    figures, failures, skipped = [], [], []
    for name, what in GROUPS.items():
        result = measure(name)
        remark = f"{len(result.skipped)} left out" if result.skipped else ""
        figures.append(Figure(what, result.tried, result.tried - len(result.failures), remark))
        failures += result.failures
        skipped += result.skipped
    text = "Left out: " + "; ".join(skipped) + "." if skipped else ""
    return Measured(figures, broken.measure(), failures, text)
