"""The printed table: its rows and columns, ours beside published, and the gains over the baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from minilocal import rules
from minilocal.report.cells import footnotes
from minilocal.report.compare import nearness
from minilocal.report.document import Part, Table
from minilocal.report.tables import mean_text
from minilocal.reproduce.cells import not_offered
from minilocal.reproduce.deviations import chosen, deviations, shared
from minilocal.reproduce.plan import Plan
from minilocal.reproduce.results import Result, baseline, published_gain
from minilocal.reproduce.views.configured import by_panel


def table(plan: Plan, results: Sequence[Result]) -> list[Part]:
    """For each network on each data set a table of errors and one of gains, `ours | published` where one is printed."""
    parts: list[Part] = [scale_text(plan, results)]
    for (net, data), panel in by_panel(results).items():
        title, which = f"{data}, {net}", ", ours | published" * _are_printed(panel)
        parts += [f"{title}: test error (%){which}.", _errors(plan, panel, title)]
        gains = _gains(plan, panel, title)
        if gains is not None:
            base = rules.get(plan.experiment.baseline).name
            parts += [f"{title}: points less than {base}{which}.", gains]
    if lacking := not_offered(plan.experiment):
        parts.append(f"Printed there and not offered here: {'; '.join(lacking)}.")
    return parts


def scale_text(plan: Plan, results: Sequence[Result]) -> str:
    """In what all cells differ from the paper's, and what the experiment sets where its recipe is silent."""
    cells = [result.planned for result in results]
    common = shared(cells)
    paper = plan.experiment.paper is not None
    whole = "as the paper states" if paper else "as the experiment's file states"
    text = f"Scale {plan.scale}: {'; '.join(common) or whole}."
    if paper and (own := chosen(plan, cells)):
        text += f" Beside the stated recipe: {', '.join(own)}."
    return f"{text} Errors are of the last epoch, mean ± standard deviation over trials (of n - 1)."


def _errors(plan: Plan, panel: Sequence[Result], title: str) -> Table:
    """Rows × columns of `ours | published`, shaded by their difference at full scale."""
    notes: dict[str, int] = {}
    common, both = shared([result.planned for result in panel]), _are_printed(panel)

    def text(result: Result) -> str:
        more = [word for word in deviations(result.planned) if word not in common]
        about = [
            *(footnotes(result.cell.published, derived=False) if result.cell.published else ()),
            *_others(result),
            *more,
        ]
        marks = "".join(f" [{notes.setdefault(note, len(notes) + 1)}]" for note in about)
        return f"{ours(result)} | {published_text(result)}{marks}" if both else f"{ours(result)}{marks}"

    rows = _layout(panel, title, text)
    shades = {}
    if plan.scale == "full" and not plan.changes:
        for number, names in enumerate(_rows(panel, title)):
            for result in (r for r in panel if _row(r, title) == names):
                printed = result.cell.published
                if printed is not None and (size := nearness(result.mean - printed.error, result.std)):
                    shades[number, _column(result)] = size
    return Table(rows, [f"[{number}] {note}." for note, number in notes.items()], shades)


def _gains(plan: Plan, panel: Sequence[Result], title: str) -> Table | None:
    """Rows × columns of the baseline's error less the cell's; None where no cell has a baseline."""
    base = plan.experiment.baseline
    pairs = {result.cell.name: other for result in panel if (other := baseline(result, panel, base)) is not None}
    compared = [result for result in panel if result.cell.name in pairs]
    if not compared:
        return None

    def text(result: Result) -> str:
        other = pairs[result.cell.name]
        own = _signed(other.mean - result.mean)
        return f"{own} | {_signed(published_gain(result, other))}" if _are_printed(panel) else own

    return Table(_layout(compared, title, text))


def _are_printed(panel: Sequence[Result]) -> bool:
    """Whether a cell has a published number."""
    return any(result.cell.published is not None for result in panel)


def _layout(panel: Sequence[Result], title: str, text: Callable[[Result], str]) -> list[dict[str, str]]:
    """A dict for each row, with the same columns; an empty text where the paper has no cell."""
    columns = _in_order(list(dict.fromkeys(map(_column, panel))))
    rows = []
    for name in _rows(panel, title):
        row = {"method": name} | dict.fromkeys(columns, "")
        row |= {_column(result): text(result) for result in panel if _row(result, title) == name}
        rows.append(row)
    return rows


def _in_order(columns: Sequence[str]) -> list[str]:
    """`K = 1`, `K = 2`, ... where each column is a number of one key; others in the order of their cells."""
    values = [column.partition(" = ")[2] for column in columns]
    if not all(value.replace(".", "", 1).isdecimal() for value in values):
        return list(columns)
    return sorted(columns, key=lambda column: float(column.partition(" = ")[2]))


def _rows(panel: Sequence[Result], title: str) -> list[str]:
    return list(dict.fromkeys(_row(result, title) for result in panel))


def _column(result: Result) -> str:
    """The column's words; `-` for a cell that has none, as one without the key that varies."""
    return result.cell.column or "-"


def _row(result: Result, title: str) -> str:
    """The row's words without those of the panel."""
    return result.cell.row.removeprefix(f"{title}, ")


def ours(result: Result) -> str:
    """`12.34 ± 0.56`; the trials, where some of them are not finished; `-` without one."""
    if not len(result.errors):
        return "-"
    text = mean_text(result.errors)
    return text if result.finished else f"{text} ({len(result.errors)} of {result.planned.trials} trials)"


def named_errors(title: str, column: str, named: Mapping[str, Result]) -> Table:
    """A row for each name: ours in `column`, and what is printed, where any of them is."""
    rows = [{title: name, column: ours(result)} for name, result in named.items()]
    if _are_printed(list(named.values())):
        rows = [row | {"published (%)": published_text(named[row[title]])} for row in rows]
    return Table(rows)


def published_text(result: Result) -> str:
    cell = result.cell.published
    return "-" if cell is None else f"{cell.error:.2f}"


def _others(result: Result) -> list[str]:
    """Other numbers that the table has for the same cell."""
    return [f"{other.row['method']} in the same table: {other.error:.2f}" for other in result.cell.also]


def _signed(number: float) -> str:
    return f"{number:+.2f}" if np.isfinite(number) else "-"
