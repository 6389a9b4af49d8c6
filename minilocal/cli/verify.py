"""`minilocal verify`: every equation, layer, loss, network and rule against automatic differentiation, in one table.

With --device the engine on that device is compared with the engine on the host instead. Exit status 1 if a row fails.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minilocal.cli.parser import Parser
from minilocal.errors import UserError, unknown
from minilocal.record.files import os_errors_explained

if TYPE_CHECKING:
    from minilocal.verify import Result

# Those of minilocal.verify and minilocal.verify.device, which import JAX.
KINDS = ("equations", "layers", "losses", "nets", "rules", "objectives", "decoupled")
DEVICE_KINDS = ("kernels", "layers", "losses", "heads", "nets", "rules", "graphs", "state", "data", "tf32")
FORM = "{:<10} {:<25} {:<35} {:>5}  {:>9}  {:>9}  {}"


def parser() -> Parser:
    """The options of `minilocal verify`."""
    p = Parser("verify", __doc__)
    p.add_argument(
        "--only", metavar="KIND", help=f"one kind of check: {', '.join(KINDS)}; with --device {', '.join(DEVICE_KINDS)}"
    )
    p.add_argument("--quick", action="store_true", help="leave out the large networks and half of the cases")
    p.add_argument("--device", metavar="DEV", help="compare this device with the host: cuda, cuda:1")
    p.add_argument("--kernels", metavar="KIND", default="numpy", help="kernels on the CPU: numpy, numba, auto (numpy)")
    p.add_output("--out", metavar="FILE", help="also write the rows here, one JSON object a line")
    return p


def run(options: argparse.Namespace) -> int:
    """Prints the table row by row; 1 if a row fails."""
    kinds = KINDS if options.device is None else DEVICE_KINDS
    if options.only is not None and options.only not in kinds:
        raise unknown("kind of check", options.only, kinds)
    from minilocal.device import on_device
    from minilocal.ops.kinds import using

    began, out = time.perf_counter(), None if options.out is None else Path(options.out)
    rows: list[Result] = []
    with using(options.kernels), on_device(options.device or "cpu"):
        if out:
            start(out)
        results = results_of(options)
        print(FORM.format("kind", "what", "against", "cases", "error", "limit", ""))
        for result in results:
            rows.append(result)
            print(show(result), flush=True)
            if out:
                append(out, as_json(result))
    failed = [result for result in rows if not result.passed]
    cases, seconds = sum(result.cases for result in rows), time.perf_counter() - began
    reference = "autograd" if options.device is None else "host"
    print(f"\n{cases} cases in {seconds:.0f} s. Error: largest |ours - {reference}| / largest |{reference}|.")
    for result in failed:
        print(f"FAILED {result.kind}, {result.name}: {result.error:.1e} in {result.worst}")
    return 1 if failed else 0


def results_of(options: argparse.Namespace) -> Iterator[Result]:
    """The rows, computed one by one.

    Raises: UserError where JAX is not installed, and for a device that cannot be used.
    """
    from minilocal import verify

    if options.device is None:
        return verify.run(options.quick, options.only)
    return verify.device.run(options.device, options.quick, options.only)


def start(path: Path) -> None:
    """Empty the file of the rows. Raises: UserError where it cannot be written."""
    with os_errors_explained(path), path.open("wb"):
        pass


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row, or nothing of it. Raises: UserError where the disk refuses it."""
    before = path.stat().st_size if path.exists() else 0
    try:
        with os_errors_explained(path), path.open("ab") as file:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())
    except UserError:
        with suppress(OSError):
            os.truncate(path, before)
        raise


def as_json(result: Result) -> dict[str, Any]:
    """A row as JSON can write it: an infinite error is null."""
    return {**asdict(result), "error": result.error if math.isfinite(result.error) else None, "passed": result.passed}


def show(result: Result) -> str:
    """One row of the table."""
    verdict = "passed" if result.passed else "FAILED"
    error, limit = f"{result.error:.1e}", f"{result.limit:.1e}"
    row = FORM.format(result.kind, result.name, result.against, result.cases, error, limit, verdict)
    return f"{row}  {result.note}".rstrip()
