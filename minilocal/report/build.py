"""Build a report of run folders: read them, group them, and fill a document."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from minilocal import draw
from minilocal.report.baselines import TEXT, Estimate, estimates, memory_records, memory_table
from minilocal.report.bytes import Memory
from minilocal.report.compare import FAR, NEAR, Comparison, comparisons
from minilocal.report.convergence import agreement
from minilocal.report.document import Document, Part, Section, Table
from minilocal.report.figures import machines, pictures
from minilocal.report.gantt import gantt
from minilocal.report.groups import Panel, panels
from minilocal.report.runs import Run, read_all
from minilocal.report.tables import beside_published, of_runs, records, results
from minilocal.report.write import FORMATS, write


@dataclass(frozen=True)
class Report:
    """A document, the table of results of each panel by its title, and a line on each run that is left out.

    `out` is the folder that it is for: its links to runs lead from there.
    """

    document: Document
    results: dict[str, Table]
    left_out: list[str]
    out: Path = Path()

    def write(self, formats: Iterable[str] = FORMATS) -> list[Path]:
        """Write the document into its folder, as `minilocal.report.write` does; return the files, the page first.

        Raises: UserError where a file cannot be written.
        """
        return write(self.document, self.out, formats)

    def __str__(self) -> str:
        """The tables of results, each under its title."""
        return "\n\n".join(f"{title}\n{table}" for title, table in self.results.items())


def build(
    paths: str | Path | Iterable[str | Path],
    out: str | Path = ".",
    *,
    first: Sequence[Section] = (),
    first_records: Mapping[str, list[dict[str, object]]] | None = None,
) -> Report:
    """The report of the runs at or below `paths`, one path or several, with links from the folder `out`.

    `first` are sections that stand before all others, and `first_records` their CSV files.

    Raises: UserError for a path without a folder, and where no run can be read, or none has finished an epoch.
    """
    runs, left_out = read_all([paths] if isinstance(paths, str | Path) else paths)
    parts, remarks = panels(runs)
    memory, sections, tables = Memory(), list[Section](), dict[str, Table]()
    colour_of = draw.colours(dict.fromkeys(group.rule for panel in parts for group in panel.groups))
    step_mb, compared = dict[tuple[str, str], float | None](), list[Comparison]()
    bytes_rows = list[dict[str, object]]()
    for panel in parts:
        own = {group.name: memory.of(group) for group in panel.groups}
        steps = estimates(panel, memory)
        bytes_rows += memory_records(panel, steps)
        step_mb.update({(panel.name, name): mb for name, mb in own.items()})
        table, cells = results(panel, own), comparisons(panel.groups)
        colour = {group.name: colour_of[group.rule] for group in panel.groups}
        baselines = {step.name: step.peak for step in steps if not step.is_run}
        with draw.palette(colour | dict.fromkeys(baselines, draw.COLOURS["bp"])):
            figures = pictures(panel, own, baselines)
        title = _unused(panel.title, tables)
        tables[title], compared = table, [*compared, *cells]
        content = [table, _table_text(panel), *agreement(panel), *figures, *_memory(steps), *gantt(panel)]
        section = Section(title, content)
        if cells:
            section.parts[2:2] = [beside_published(cells), PUBLISHED_TEXT]
        sections.append(section)
    address = {run: os.path.relpath(run.folder, out).replace(os.sep, "/") + "/" for run in runs}
    sections.append(Section("The runs", [of_runs(runs, address)]))
    lines = [*left_out, *remarks, *memory.remarks]
    if lines:
        sections.append(Section("Left out", list(lines)))
    files = {**(first_records or {}), **records(parts, step_mb, compared), "memory": bytes_rows}
    document = Document("Results", _lead(runs), [*first, *sections], files)
    return Report(document, tables, lines, Path(out))


def _memory(steps: Sequence[Estimate]) -> list[Part]:
    """The table of bytes, and what its baselines are."""
    return [memory_table(steps), TEXT] if steps else []


PUBLISHED_TEXT = (
    "The difference is our mean of the last epoch minus the published error, in points: green within "
    f"{NEAR:g} points or two of our standard deviations, yellow within {FAR:g} points, else red. A run that is smaller "
    "than the paper's says nothing about the published number; what may then be compared is the gain over GLL, where "
    "GLL ran in the same way."
)


def _table_text(panel: Panel) -> str:
    """What the columns of the table of results are."""
    text = (
        "Errors are mean ± standard deviation over seeds (of n - 1). The best epoch is chosen on the test images, so "
        "it flatters every row. Memory is the peak of a step above parameters, statistics and momentum, estimated from "
        "the configuration."
    )
    names = list(machines(panel.groups))
    return text + (f" Seconds are of the median epoch, on {names[0]}." if len(names) == 1 else "")


def _lead(runs: list[Run]) -> list[str]:
    """How many runs there are, and how many of them are unfinished."""
    unfinished = [run for run in runs if not run.finished]
    text = f"{_several(len(runs), 'run')} of {_several(len({run.rule for run in runs}), 'rule')}."
    if unfinished:
        text += f" {len(unfinished)} of them {'is' if len(unfinished) == 1 else 'are'} unfinished, and marked so."
    return [text]


def _several(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"


def _unused(title: str, used: Iterable[str]) -> str:
    """The title, with a number behind it where it is used."""
    names, number = set(used), 2
    while title in names:
        title, number = f"{title.rpartition(' (')[0] or title} ({number})", number + 1
    return title
