"""`minilocal report`: run folders, finished or not, as tables and figures, beside what the papers print.

Runs that differ in nothing but the seed and the machine are one row and one curve. A folder of folders is searched for
runs. A folder of minilocal reproduce shows the tables and figures of its experiment first. The report is one HTML page
that needs no other file, Markdown, CSV and SVG.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from minilocal.cli.lists import words
from minilocal.cli.parser import Parser
from minilocal.errors import UserError, unknown

if TYPE_CHECKING:
    from minilocal.report import Report
    from minilocal.report.document import Section

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
    p.add_output(
        "--out",
        kind="folder",
        names=("report.html", "report.md"),
        metavar="DIR",
        default="runs/report",
        help="where the files go (runs/report)",
    )
    p.add_argument(
        "--format", metavar="F,F", default="html,md,csv,svg", help="of html, md, csv and svg, those to write (all)"
    )
    p.add_argument("--brief", action="store_true", help="an experiment's own tables and figures only, not its runs'")
    p.add_argument("--quiet", action="store_true", help="print warnings and the name of the first file only")
    return p


def run(options: argparse.Namespace) -> int:
    """Write the report, and print its tables of results."""
    from minilocal.report import FORMATS, build
    from minilocal.reproduce.listing import as_text

    formats = words("--format", options.format)
    for name in formats:
        if name not in FORMATS:
            raise unknown("--format", name, FORMATS)
    own, records, lacking = experiments(options.runs)
    if options.brief:
        report = _brief(options, own, records)
    else:
        report = build(options.runs, options.out, first=own, first_records=records)
    for line in [*lacking, *report.left_out]:
        print(f"minilocal: warning: {line}", file=sys.stderr)
    files = report.write(formats)
    if not options.quiet:
        for section in own:
            print(f"{as_text(section)}\n")
        if report.results:
            print(f"{report}\n")
    more = f", and {len(files) - 1} more files beside it" if len(files) > 1 and not options.quiet else ""
    print(f"report: {files[0]}{more}")
    return 0


def _brief(options: argparse.Namespace, own: Sequence[Section], records: dict[str, list[dict[str, object]]]) -> Report:
    """The report of the experiments alone. Raises: UserError where there is none."""
    from minilocal.report import Report
    from minilocal.report.document import Document

    if not own:
        raise UserError(f"--brief met {', '.join(options.runs)}, which has no experiment of minilocal reproduce.")
    return Report(Document("Results", [], list(own), records), {}, [], Path(options.out))


def experiments(paths: Sequence[str]) -> tuple[list[Section], dict[str, list[dict[str, object]]], list[str]]:
    """The sections of the experiments in these folders, or a level below, their records, and what cannot be shown."""
    from minilocal.reproduce.folder import experiments_in
    from minilocal.reproduce.section import of_folder

    sections: list[Section] = []
    rows: list[dict[str, object]] = []
    lacking: list[str] = []
    for folder in experiments_in(paths):
        try:
            section, records = of_folder(folder)
        except UserError as error:
            lacking.append(f"the experiment of {folder} is left out: {error}")
        else:
            sections.append(section)
            rows += records
    return sections, {"experiment": rows}, lacking
