"""Lists for the terminal: the experiments, and the rows and cells of one."""

from __future__ import annotations

from minilocal.config import Config
from minilocal.published.keys import DATA
from minilocal.report.document import Section, Table
from minilocal.reproduce.cells import cells, fits, not_offered
from minilocal.reproduce.duration import seconds
from minilocal.reproduce.experiment import NAMES, SCALES, load
from minilocal.reproduce.plan import Plan, patterns_at
from minilocal.sweep.table import aligned
from minilocal.train.clock import duration


def experiments() -> str:
    """A row for each experiment: name, the number of its cells at each scale, its data sets, title."""
    rows = [["name", *(f"cells {scale}" for scale in SCALES), "data", "title"]]
    for name in NAMES:
        experiment = load(name)
        every = cells(experiment)
        patterns = [patterns_at(experiment, scale if experiment.trains else "full", every) for scale in SCALES]
        counts = [str(sum(fits(cell.name, pattern) for cell in every)) for pattern in patterns]
        data = dict.fromkeys(str({**experiment.recipe.flat, **cell.keys}.get(DATA, "digits")) for cell in every)
        rows.append([name, *counts, ", ".join(data), experiment.title])
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
    runs = len(plan.runs())
    lines.append(f"{len(plan.taken)} of {len(plan.cells)} cells, {runs} run{'s' * (runs != 1)} at scale {plan.scale}")
    if plan.scale != "full" and (needed := seconds(plan)) is not None:
        lines.append(f"about {duration(needed)} of training in one process on this machine, at the pace of a step now")
    return "\n".join(lines)


def as_text(section: Section) -> str:
    """A section for the terminal: its texts and tables. Figures are in the report only."""
    lines = [section.heading, ""]
    for part in section.parts:
        if isinstance(part, Table):
            lines += [str(part), *part.notes, ""]
        elif isinstance(part, str):
            lines.append(part)
    return "\n".join(lines).rstrip()


def in_a_line(config: Config) -> str:
    """Rule, network, modules, data, and the recipe."""
    o, d, n = config.optim, config.data, config.net
    images = f"{d.limit_train} of " if d.limit_train else ""
    modules = "" if config.rule.name == "bp" else f" in {n.modules}"
    recipe = f"{o.epochs} epoch{'s' * (o.epochs != 1)}, batch {o.batch_size}, lr {o.lr:g} {o.schedule}"
    return f"{config.rule.name}, {n.name}{modules}, {images}{d.name}, {recipe}"
