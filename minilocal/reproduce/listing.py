"""Lists for the terminal: the experiments, and the rows and cells of one."""

from __future__ import annotations

from collections.abc import Sequence

from minilocal.config import Config
from minilocal.reproduce.cells import cells, fits, not_offered
from minilocal.reproduce.experiment import NAMES, SCALES, load, scales
from minilocal.reproduce.plan import Plan


def experiments() -> str:
    """A row for each experiment: name, title, data sets, and the number of its cells at each scale."""
    rows = [["name", *(f"cells {scale}" for scale in SCALES), "title"]]
    for name in NAMES:
        experiment, defaults = load(name), scales()
        every = cells(experiment)
        counts = []
        for scale in SCALES:
            patterns = getattr(experiment.scale, scale).cells or defaults[scale].cells or "*"
            counts.append(str(sum(fits(cell.name, patterns) for cell in every)))
        rows.append([name, *counts, experiment.title])
    return aligned(rows)


def of_plan(plan: Plan) -> str:
    """A row for each cell: its name, its configuration in a line, the published error, and why it is left out."""
    rows = [["cell", "published", "trials", "configuration, or why it is left out"]]
    for planned in plan.cells:
        cell = planned.cell
        printed = "-" if cell.published is None else f"{cell.published.error:.2f}"
        text = planned.left_out and f"left out: {planned.left_out}"
        trials = "-" if planned.left_out else str(planned.trials)
        rows.append([cell.name, printed, trials, text or in_a_line(planned.config)])
    lines = [aligned(rows)]
    lines += [f"not offered: {what}" for what in not_offered(plan.experiment)]
    lines.append(f"{len(plan.taken)} of {len(plan.cells)} cells, {len(plan.runs())} runs at scale {plan.scale}")
    return "\n".join(lines)


def in_a_line(config: Config) -> str:
    """Rule, network, modules, data, and the recipe."""
    o, d, n = config.optim, config.data, config.net
    images = f"{d.limit_train} of " if d.limit_train else ""
    modules = "" if config.rule.name == "bp" else f" in {n.modules}"
    recipe = f"{o.epochs} epochs, batch {o.batch_size}, lr {o.lr:g} {o.schedule}"
    return f"{config.rule.name}, {n.name}{modules}, {images}{d.name}, {recipe}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
