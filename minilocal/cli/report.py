"""`minilocal report`: run folders, finished or not, as tables and figures, beside what the papers print.

Runs that differ in nothing but the seed and the machine are one row and one curve. A folder of folders is searched for
runs. The report is one HTML page that needs no other file, Markdown, CSV and SVG.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from minilocal.cli.lists import words
from minilocal.cli.parser import Parser
from minilocal.errors import unknown

LEGEND = """
last epoch    mean ± standard deviation over seeds (of n - 1) of the test error after the last epoch
best epoch    the same of each seed's least test error: chosen on the test images, so it flatters every row
memory        peak of a step above parameters, statistics and momentum, estimated from the configuration
s / epoch     training steps of the median epoch, as recorded; the report says on which machine
"""


def parser() -> Parser:
    """The options of `minilocal report`."""
    p = Parser("report", __doc__, epilog=LEGEND)
    p.add_argument(
        "runs", metavar="RUN", nargs="+", help="a run's folder, a folder of them, or a pattern: 'runs/*-seed?'"
    )
    p.add_argument("--out", metavar="DIR", default="runs/report", help="where the files go (runs/report)")
    p.add_argument(
        "--format", metavar="F,F", default="html,md,csv,svg", help="of html, md, csv and svg, those to write (all)"
    )
    p.add_argument("--quiet", action="store_true", help="print warnings and the name of the first file only")
    return p


def run(options: argparse.Namespace) -> int:
    """Write the report, and print its tables of results."""
    from minilocal.report import FORMATS, build, write

    formats = words("--format", options.format)
    for name in formats:
        if name not in FORMATS:
            raise unknown("--format", name, FORMATS)
    report = build(options.runs, options.out)
    for line in report.left_out:
        print(f"minilocal: warning: {line}", file=sys.stderr)
    files = write(report.document, Path(options.out), formats)
    if not options.quiet:
        for title, table in report.results.items():
            print(f"{title}\n{_aligned(table.rows)}\n")
    more = f", and {len(files) - 1} more files beside it" if len(files) > 1 and not options.quiet else ""
    print(f"report: {files[0]}{more}")
    return 0


def _aligned(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [
        [name.partition(",")[0] if "best" in name else name for name in rows[0]],
        *(list(r.values()) for r in rows),
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    cells = [[f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return "\n".join("  ".join(line).rstrip() for line in cells)
