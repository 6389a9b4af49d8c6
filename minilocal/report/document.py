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
