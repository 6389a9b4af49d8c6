"""`make trust`: every part, or those that are named, two side by side; then the page.

    python -m tests.faults [PART ...] [--minutes N]

Ends with status 1 where a case did not hold, or where a check did not notice that what it relies on was missing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np

from minilocal.kernels.threads import available
from minilocal.record import current_environment
from tests.faults.measured import read, write
from tests.faults.page import RESULTS, ROOT, render
from tests.faults.parts import APART, PARTS, part


def measure(name: str, minutes: float | None) -> bool:
    """One part in this process; its file is written."""
    start = time.perf_counter()
    measured = part(name).run(part(name).MINUTES if minutes is None else minutes)
    environment = current_environment()
    facts = {
        "part": name,
        "date": datetime.now(UTC).date().isoformat(),
        "git": environment["git"],
        "python": environment["python"],
        "numpy": np.__version__,
        "cores": available(),
        "seconds": round(time.perf_counter() - start, 1),
    }
    write(RESULTS / f"{name}.json", measured, facts)
    return measured.holds


def in_its_own_process(name: str, minutes: float | None) -> bool:
    """The same in a process of its own; its status is told when it ends."""
    options = [] if minutes is None else ["--minutes", str(minutes)]
    command = [sys.executable, "-m", "tests.faults", "--alone", name, *options]
    ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    if ended.returncode not in (0, 1):
        print(f"{name}: ended with status {ended.returncode}", flush=True)
        return False
    measured, facts = read(RESULTS / f"{name}.json")
    held = sum(f.held for f in measured.figures)
    print(f"{name}: {held} of {sum(f.tried for f in measured.figures)} held, {facts['seconds']:.0f} s", flush=True)
    for line in measured.failures:
        print(f"  {line}", flush=True)
    return ended.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, *APART, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, help="for each part whose cases have no end")
    parser.add_argument("--alone", action="store_true", help="in this process, without the page")
    options = parser.parse_args()
    if options.alone:
        try:
            return 0 if all([measure(name, options.minutes) for name in options.parts]) else 1
        except Exception:  # as 1 it would read as cases that did not hold, and the file is an earlier run's
            traceback.print_exc()
            return 2
    names = sorted(options.parts or PARTS, key=lambda name: -part(name).MINUTES)  # the longest first
    with ThreadPoolExecutor(2) as pool:
        held = list(pool.map(lambda name: in_its_own_process(name, options.minutes), names))
    render()
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
