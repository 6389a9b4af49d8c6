"""The tables of a panel, and the records of its CSV files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from minilocal.report.compare import Comparison, deviation
from minilocal.report.document import Table
from minilocal.report.figures import machines, seconds
from minilocal.report.groups import Group, Panel, modules
from minilocal.report.runs import Run

BEST = "best epoch (%), chosen on the test images"


def results(panel: Panel, memory: Mapping[str, float | None]) -> Table:
    """A row for each group: mean ± standard deviation over seeds, after the last and in the best epoch."""
    several = len(machines(panel.groups)) > 1
    rows = []
    for group in panel.groups:
        row = {
            "runs": group.name,
            "seeds": str(len(group.runs)),
            "epochs": group.state,
            "test error, last epoch (%)": mean_text(group.last),
            BEST: mean_text(group.best),
            "memory (MB)": _short(memory[group.name]),
            "s / epoch": _short(seconds(group)),
        }
        rows.append(row | ({"machine": _machine(group)} if several else {}))
    return Table(rows)


def beside_published(comparisons: Sequence[Comparison]) -> Table:
    """A row for each comparison; a cell's footnotes have numbers, equal ones the same."""
    notes: dict[str, int] = {}
    rows, shades = [], {}
    for number, c in enumerate(comparisons):
        marks = "".join(f" [{notes.setdefault(note, len(notes) + 1)}]" for note in c.notes)
        rows.append(
            {
                "runs": c.group.name,
                "ours, last epoch (%)": mean_text(c.group.last),
                BEST: mean_text(c.group.best),
                "published (%)": f"{c.cell.error:.2f}{marks}",
                "difference": _signed(c.difference),
                "less than GLL, ours": _signed(c.gain),
                "less than GLL, published": _signed(c.published_gain),
                "from": c.cell.title,
                "scale of ours": c.scale,
            }
        )
        if c.size:
            shades[number, "difference"] = c.size
    return Table(rows, [f"[{number}] {note}." for note, number in notes.items()], shades)


def of_runs(runs: Sequence[Run], address: Mapping[Run, str]) -> Table:
    """A row for each run; `address` is its folder as a link from the report."""
    return Table(
        [
            {
                "run": f"[{run.folder.name}]({address[run]})",
                "rule": run.rule,
                "seed": str(run.seed),
                "epochs": run.state,
                "last test error (%)": _short(run.errors[-1] if run.epochs else None, "{:.2f}"),
                "training (s)": _short(_total(run), "{:.1f}"),
                "machine": run.machine,
            }
            for run in runs
        ]
    )


def records(
    panels: Sequence[Panel], memory: Mapping[tuple[str, str], float | None], comparisons: Sequence[Comparison]
) -> dict[str, list[dict[str, object]]]:
    """The rows of results.csv, published.csv and epochs.csv, in full precision; a missing number is empty."""
    groups = [(panel, group) for panel in panels for group in panel.groups]
    return {
        "results": [
            {
                **_identity(group),
                "epochs": group.epochs,
                "of_epochs": group.first.config.optim.epochs,
                "finished": group.finished,
                "seeds": " ".join(str(run.seed) for run in group.runs),
                "last_error_mean": _value(group.last.mean()),
                "last_error_std": _value(deviation(group.last)),
                "best_error_mean_on_test": _value(group.best.mean()),
                "best_error_std_on_test": _value(deviation(group.best)),
                "estimated_step_mb": _value(memory[panel.name, group.name]),
                "seconds_per_epoch": _value(seconds(group)),
                "machine": _machine(group),
            }
            for panel, group in groups
        ],
        "published": [
            {
                **_identity(c.group),
                "last_error_mean": _value(c.ours),
                "last_error_std": _value(c.std),
                "published_error": _value(round(c.cell.error, 6)),
                "difference": _value(round(c.difference, 6)),
                "gain_over_gll": _value(c.gain),
                "published_gain_over_gll": _value(round(c.published_gain, 6)),
                "source": c.cell.row["source"],
                "table": c.cell.row["table"],
                "method": c.cell.row["method"],
                "scale": c.scale,
                "notes": "; ".join(c.notes),
            }
            for c in comparisons
        ],
        "epochs": [
            {
                "folder": str(run.folder),
                **_identity(group),
                "seed": run.seed,
                "epoch": row["epoch"],
                "test_error": _value(row["test_error"]),
                "seconds": _value(row.get("seconds")),
                "local_errors": _joined(row.get("local_errors", [])),
                **{name: _value(row.get("convergence", {}).get(name)) for name in ("sigma", "norm_ratio", "cosine")},
                "module_cosines": _joined(row.get("convergence", {}).get("modules", {}).get("cosine", [])),
            }
            for _, group in groups
            for run in group.runs
            for row in run.rows
        ],
    }


def mean_text(errors: np.ndarray) -> str:
    """`12.34 ± 0.56`; without ± for one seed, `-` where a number is missing."""
    mean, std = errors.mean(), deviation(errors)
    if not np.isfinite(mean):
        return "-"
    return f"{mean:.2f}" + (f" ± {std:.2f}" if np.isfinite(std) else "")


def _joined(numbers: Sequence[float | None]) -> str:
    """One number a module; `-` for a missing one."""
    return " ".join("-" if number is None else str(number) for number in numbers)


def _identity(group: Group) -> dict[str, object]:
    s = group.settings
    return {
        "dataset": s["data.name"], "network": s["net.name"], "K": modules(group), "rule": group.rule, "runs": group.name
    }  # fmt: skip


def _machine(group: Group) -> str:
    return next(iter(machines([group])))


def _total(run: Run) -> float:
    """The training seconds of all epochs."""
    return sum(row.get("seconds") or 0.0 for row in run.rows)


def _short(number: float | None, form: str = "{:.3g}") -> str:
    return "-" if number is None or not np.isfinite(number) else form.format(number)


def _signed(number: float) -> str:
    return f"{number:+.2f}" if np.isfinite(number) else ""


def _value(number: float | None) -> object:
    return "" if number is None or not np.isfinite(number) else float(number)
