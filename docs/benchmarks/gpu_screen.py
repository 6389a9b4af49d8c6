"""What gpu_check.py prints at the end: its results on one screen, at most 40 lines of 100 columns.

The verdict and the first failures; seconds of a step by every engine, each under its setting; the share of the measured
copy rate and product rate that the kernels reach; the epochs of training. The rest is in the page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from minilocal.bench.roofline import peak_rate

WIDTH, LINES = 100, 40
NAMED = 6  # failures
Row = dict[str, Any]


def text(results: Row, verdict: str, problems: list[str], page: Path) -> str:
    """The screen. `problems` are what failed and what was not run, a line each; `page` has everything else."""
    lines = [f"GPU check {results['date']}: {machine(results['device'])}", *verdict_lines(results, verdict, problems)]
    if steps := results.get("bench", {}).get("steps"):
        lines += ["", *step_lines(steps)]
    if results.get("bench", {}).get("layers"):
        lines += ["", *share_lines(results["bench"])]
    if "parity" in results:
        lines += ["", *training_lines(results["parity"]["training"])]
    lines = [line if len(line) <= WIDTH else line[: WIDTH - 3] + "..." for line in lines]
    return "\n".join([*lines[: LINES - 1], f"everything: {page}"])


def machine(facts: Row) -> str:
    """The device and the libraries that were compared."""
    names = [facts.get("name", facts["device"]), facts["library"]]
    if "cuda" in facts:
        names.append(f"CUDA {facts['cuda'] // 1000}.{facts['cuda'] % 1000 // 10}")
    if "torch" in facts:
        names.append(f"PyTorch {facts['torch']}")
    return ", ".join(names)


def verdict_lines(results: Row, verdict: str, problems: list[str]) -> list[str]:
    """Passed or not, the rows of parity that passed, and the first problems."""
    rows = results.get("parity", {}).get("rows", [])
    passed = sum(row.get("passed", False) for row in rows)
    lines = [
        verdict + (f"   (parity: {passed} of {len(rows)} rows passed)" if rows else "   (parity: not in this file)")
    ]
    lines += [f"  {problem}" for problem in problems[:NAMED]]
    return [*lines, *[f"  and {len(problems) - NAMED} more"] * (len(problems) > NAMED)]


def count(rows: list[Any], what: str) -> str:
    """So many of them."""
    return f"{len(rows)} {what}{'s' * (len(rows) != 1)}"


# ---------------------------------------------------------------------- steps


def setting(row: Row) -> tuple[str, str, str]:
    """The three lines of a column's head: engine, how its steps run, precision."""
    how = {"nchw": "NCHW", "channels_last": "NHWC"}[row["layout"]] if row["engine"] == "torch" else "eager"
    engine = "PyTorch" if row["engine"] == "torch" else str(row["engine"])
    recorded = row["graph"] and row.get("started") != "eager"  # it may have been refused
    return engine, "graph" if recorded else how, "TF32" if row["tf32"] else "fp32"


def step_lines(rows: list[Row]) -> list[str]:
    """A line for each network, batch and rule: milliseconds of a step in each setting, and peak megabytes of two."""
    settings = list(dict.fromkeys(setting(row) for row in rows))[:6]
    torch = next((s for s in reversed(settings) if s[0] == "PyTorch" and s[2] == "fp32"), None)
    memory = [s for s in (("minilocal", "eager", "fp32"), torch) if s in settings]
    peaks = [("peak", "MB", "torch" if s[0] == "PyTorch" else "ours") for s in memory]
    heads = [[s[i] for s in [*settings, *peaks]] for i in range(3)]
    widths = [10] * len(settings) + [7] * len(memory)

    def columns(name: str, cells: list[str]) -> str:
        return name.ljust(26) + "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))

    lines = [columns(name, cells) for name, cells in zip(("ms a step", "", ""), heads, strict=True)]
    by_step: dict[str, dict[Any, Row]] = {}
    for row in rows:
        found = by_step.setdefault(f"{row['net']} {row['batch']} {row['what']}", {})
        found.setdefault(setting(row), row)
    for name, found in by_step.items():
        times = [f"{1e3 * found[s]['median']:.4g}" if "median" in found.get(s, {}) else "-" for s in settings]
        lines.append(columns(name, times + [megabytes(found.get(s, {})) for s in memory]))
    return lines


def megabytes(row: Row) -> str:
    """The peak of a step above what is allocated between steps."""
    peak = row.get("bytes", {}).get("peak")
    return "-" if peak is None else f"{peak / 1e6:.0f}"


# ---------------------------------------------------------------------- kernels


def share_lines(bench: Row) -> list[str]:
    """For the operations that copying bounds, and for those that arithmetic bounds: the share of its rate, lowest last.

    An operation is bounded by the one that takes longer at the measured rate.
    """
    limits = [row for row in bench["limits"] if not row.get("tf32")]
    rates = {"moved": peak_rate(limits, "GB/s"), "flops": peak_rate(limits, "GFLOP/s")}
    shares: dict[str, list[tuple[float, str]]] = {"moved": [], "flops": []}
    for row in bench["layers"]:
        if row["engine"] == "minilocal" and "median" in row and row.get("started") != "eager":  # that may be the host's
            bound = max(rates, key=lambda what: row[what] / rates[what])
            shares[bound].append((row[bound] / row["median"] / rates[bound], row["what"]))
    lines = []
    for what, name in (("moved", "copies, {:.0f} GB/s"), ("flops", "fp32 products, {:.0f} GFLOP/s")):
        if found := sorted(shares[what]):
            middle, low = found[len(found) // 2][0], "; ".join(f"{name} {share:.0%}" for share, name in found[:3])
            lines.append(
                f"of the rate of {name.format(rates[what] / 1e9)}: {count(found, 'kernel')}, median {middle:.0%}"
            )
            lines.append(f"  lowest: {low}")
    return lines


# ---------------------------------------------------------------------- training


def training_lines(runs: list[Row]) -> list[str]:
    """A line for each rule: epochs, seconds of the last, test error after it."""
    lines = []
    for run in runs:
        if not run["rows"]:
            lines.append(f"training, {run['rule']}: {run.get('failed', run.get('not run'))}")
            continue
        last, what = (
            run["rows"][-1],
            f"{run['data']}, {run['net']}, {run['rule']}, K = {run['K']}, batch {run['batch']}",
        )
        epochs = (
            f"{count(run['rows'], 'epoch')}, {last['seconds']:.2f} s the last, test error {last['test_error']:.2f} %"
        )
        lines.append(f"training {what}: {epochs}")
    return lines
