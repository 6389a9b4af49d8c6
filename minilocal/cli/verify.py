"""`minilocal verify`: every equation, layer, head and rule against automatic differentiation, in one table."""

from __future__ import annotations

import argparse
import time
from typing import Any

from minilocal.cli.parser import Parser
from minilocal.errors import unknown

KINDS = ("equations", "layers", "losses", "nets", "rules", "objectives", "decoupled")  # verify's, without its JAX
FORM = "{:<10} {:<25} {:<35} {:>5}  {:>9}  {:>9}  {}"


def parser() -> Parser:
    """The options of `minilocal verify`."""
    p = Parser("verify", __doc__)
    p.add_argument("--only", metavar="KIND", help=f"one kind of check: {', '.join(KINDS)}")
    p.add_argument("--quick", action="store_true", help="leave out the large networks and half of the cases")
    return p


def run(options: argparse.Namespace) -> int:
    """Prints the table row by row; 1 if something fails."""
    if options.only is not None and options.only not in KINDS:
        raise unknown("kind of check", options.only, KINDS)
    from minilocal import verify

    start, rows, results = time.perf_counter(), [], verify.run(options.quick, options.only)
    print(FORM.format("kind", "what", "against", "cases", "error", "limit", ""))
    for result in results:
        rows.append(result)
        print(show(result), flush=True)
    failed = [result for result in rows if not result.passed]
    cases, seconds = sum(result.cases for result in rows), time.perf_counter() - start
    print(f"\n{cases} cases in {seconds:.0f} s. Error: largest |ours - autograd| / largest |autograd|.")
    for result in failed:
        print(f"FAILED {result.kind}, {result.name}: {result.error:.1e} in {result.worst}")
    return 1 if failed else 0


def show(result: Any) -> str:
    """One row."""
    verdict = "passed" if result.passed else "FAILED"
    return FORM.format(
        result.kind, result.name, result.against, result.cases, f"{result.error:.1e}", f"{result.limit:.1e}", verdict
    )
