"""`minilocal report`: run folders, finished or not, as tables and figures, beside what the papers print.

Runs that differ in nothing but the seed and the machine are one row and one curve. A folder of folders is searched for
runs. The report is one HTML page that needs no other file, Markdown, CSV and SVG.
"""

from __future__ import annotations

import argparse
import sys

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
    from minilocal.report import FORMATS, build

    formats = words("--format", options.format)
    for name in formats:
        if name not in FORMATS:
            raise unknown("--format", name, FORMATS)
    report = build(options.runs, options.out)
    for line in report.left_out:
        print(f"minilocal: warning: {line}", file=sys.stderr)
    files = report.write(formats)
    if not options.quiet:
        print(f"{report}\n")
    more = f", and {len(files) - 1} more files beside it" if len(files) > 1 and not options.quiet else ""
    print(f"report: {files[0]}{more}")
    return 0
