"""`minilocal explorer`: one page with sliders for network, rule, K, l and α, that opens from a file, without a network.

At each point it shows the errors that cross, the predicted bytes of each module, a simulated schedule on K devices, and
the published test error beside ours. The address of the page holds the point, so that it can be linked to. All of it is
made by the package from shapes and tables: nothing is trained, timed or fetched.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from minilocal.cli.lists import words
from minilocal.cli.parser import Parser

RESULTS = "docs/results"


def parser() -> Parser:
    """The options of `minilocal explorer`."""
    p = Parser("explorer", __doc__)
    p.add_output("--out", metavar="FILE", default="explorer.html", help="the page (explorer.html)")
    p.add_argument(
        "--net", metavar="NAME,NAME", help="of resnet20, resnet32, resnet110 and vgg16, those to have (all but vgg16)"
    )
    p.add_argument(
        "--results",
        metavar="DIR",
        help=f"our errors: a folder of folders with an experiment.csv each, as `minilocal report --brief --format csv` "
        f"writes them ({RESULTS}, where it is there)",
    )
    return p


def run(options: argparse.Namespace) -> int:
    """Write the page."""
    from minilocal.explorer import write
    from minilocal.explorer.choices import USUAL

    networks = USUAL if options.net is None else words("--net", options.net)
    results = options.results
    if results is None and any(Path(RESULTS).glob("*/experiment.csv")):
        results = RESULTS
    with _bar() as bar:
        write(options.out, networks=networks, results=results, on_point=lambda key: bar.update())
    if results is None:
        print("minilocal: warning: no results of ours: --results names their folder", file=sys.stderr)
    print(f"explorer: {options.out}, {Path(options.out).stat().st_size / 1e6:.2f} MB")
    return 0


def _bar() -> Any:
    from tqdm import tqdm

    return tqdm(desc="points", unit="point", disable=None, leave=False)
