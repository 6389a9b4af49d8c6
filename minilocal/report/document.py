"""A report before it is written: sections of paragraphs, figures and tables, in no format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from minilocal.draw import Figure


@dataclass(frozen=True)
class Picture:
    """A figure, the name of its file without an ending, and its caption."""

    name: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows with the same columns, their footnotes in order, and the shade of some cells: near, off or far."""

    rows: Sequence[Mapping[str, str]]
    notes: Sequence[str] = ()
    shades: Mapping[tuple[int, str], str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The rows in aligned columns, the first one to the left; a title ends at its comma."""
        lines = [[name.partition(",")[0] for name in self.rows[0]], *(list(row.values()) for row in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        cells = [[f"{line[0]:<{widths[0]}}", *map(str.rjust, line[1:], widths[1:])] for line in lines]
        return "\n".join("  ".join(line).rstrip() for line in cells)


Part = str | Picture | Table  # a text is a paragraph


@dataclass
class Section:
    """A heading and what stands under it."""

    heading: str
    parts: list[Part] = field(default_factory=list)


@dataclass
class Document:
    """All of a report. `records` are the numbers behind it: {name of a CSV file: its rows}."""

    title: str
    lead: list[str]
    sections: list[Section]
    records: dict[str, list[dict[str, object]]]

    @property
    def pictures(self) -> list[Picture]:
        return [part for section in self.sections for part in section.parts if isinstance(part, Picture)]
