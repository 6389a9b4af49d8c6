"""`make coverage`: the branches of each part that its tests and their neighbours take; status 1 below 98 %.

    python -m tests.faults.mutants.branches

What `make mutants` measured of a file of tests is used again, where no code of the package has changed since.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

from tests.faults.mutants.covering import BUILD, place_of
from tests.faults.mutants.run import all_files, measure_tests
from tests.faults.mutants.table import OWN, part_of

GOAL = 0.98


@dataclass(frozen=True)
class Row:
    """A part: its statements and branches, and how many of them the tests take."""

    part: str
    statements: int
    run: int
    branches: int
    taken: int
    missing: tuple[str, ...]
    """MODULE:LINE -> LINE of each branch that is not taken, and MODULE:LINE of each statement."""

    @property
    def share(self) -> float:
        return self.taken / self.branches if self.branches else 1.0


def report() -> dict[str, Any]:
    """coverage.py's own report of all files of tests together: {module: what it says of it}."""
    from coverage import Coverage

    data, out = BUILD / "coverage", BUILD / "coverage.json"
    data.unlink(missing_ok=True)
    coverage = Coverage(data_file=str(data), branch=True, source=["minilocal"], config_file=False)
    coverage.set_option("run:relative_files", True)
    kept = [place_of(file, ".coverage") for file in all_files()]
    coverage.combine([str(file) for file in kept if file.exists()], keep=True)
    coverage.save()
    coverage.json_report(outfile=str(out))
    files: dict[str, Any] = json.loads(out.read_text())["files"]
    return files


def rows(files: dict[str, Any]) -> list[Row]:
    """The report by part."""
    shares = []
    for part in OWN:
        its = {module: file for module, file in files.items() if part_of(module) == part}
        totals = [file["summary"] for file in its.values()]
        statements, run, branches, taken = (
            sum(total[name] for total in totals)
            for name in ("num_statements", "covered_lines", "num_branches", "covered_branches")
        )
        lines = [f"{m}:{line}" for m, file in its.items() for line in file["missing_lines"]]
        jumps = [f"{m}:{a} -> {b}" for m, file in its.items() for a, b in file["missing_branches"]]
        shares.append(Row(part, statements, run, branches, taken, (*lines, *jumps)))
    return shares


def main() -> int:
    measure_tests(all_files())
    shares = rows(report())
    print(f"{'part':12}{'statements':>12}{'run':>8}{'branches':>10}{'taken':>8}")
    for row in shares:
        print(f"{row.part:12}{row.statements:12}{row.run:8}{row.branches:10}{row.taken:8} {row.share:8.1%}")
    for row in shares:
        for line in row.missing:
            print(f"  {line}")
    return 0 if all(row.share >= GOAL for row in shares) else 1


if __name__ == "__main__":
    sys.exit(main())
