"""A report as files: one HTML page, Markdown, CSV, SVG."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from minilocal import draw, record
from minilocal.draw.page import Page
from minilocal.errors import UserError, path_of, printable, unknown
from minilocal.record.files import os_errors_explained
from minilocal.report.document import Document, Picture, Table

FORMATS = ("html", "md", "csv", "svg")


def write(document: Document, out: str | Path, formats: Iterable[str] = FORMATS) -> list[Path]:
    """Write the document in these formats, by default all, into the folder `out`; return the files, the page first.

    "html" is report.html, which needs no other file; "md" report.md and the figures that it shows; "csv" a file for
    each of its records that has rows; "svg" a file for each figure.

    Raises: UserError for anything but a document, for another format, and where a file cannot be written.
    """
    if not isinstance(document, Document):
        raise UserError(f"write was given {document!r}: give a Document, as minilocal.report.build(...).document.")
    formats, out = {formats} if isinstance(formats, str) else set(formats), path_of("out", out)
    for name in sorted(formats - set(FORMATS), key=str):
        raise unknown("format", name, FORMATS)
    with os_errors_explained(out):
        out.mkdir(parents=True, exist_ok=True)
    svgs = {p.name: draw.to_svg(p.figure) for p in document.pictures} if formats & {"html", "md", "svg"} else {}
    texts: dict[str, Callable[[], str]] = {}
    if "html" in formats:
        texts["report.html"] = lambda: _html(document, svgs)
    if "md" in formats:
        texts["report.md"] = lambda: _markdown(document)
    files = {name: text() for name, text in texts.items()}
    if formats & {"md", "svg"}:
        files |= {f"{name}.svg": svg for name, svg in svgs.items()}
    if "csv" in formats:
        files |= {f"{name}.csv": _csv(rows) for name, rows in document.records.items() if rows}
    for name, text in files.items():
        with record.atomic_write(out / name) as file:
            file.write(_without_controls(text).encode())
    return [out / name for name in files]


def _without_controls(text: str) -> str:
    """`text` with control characters, as a folder's name may have, as Python writes them; lines and tabs stay."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", lambda match: printable(match[0]), text)


def _html(document: Document, svgs: Mapping[str, str]) -> str:
    page = Page(document.title)
    for text in document.lead:
        page.text(text)
    for section in document.sections:
        page.heading(section.heading)
        for part in section.parts:
            if isinstance(part, Picture):
                page.figure(svgs[part.name], part.caption, part.figure.alt)
            elif isinstance(part, Table):
                page.table(part.rows, part.shades)
                for note in part.notes:
                    page.text(note)
            else:
                page.text(part)
    return page.html()


def _markdown(document: Document) -> str:
    blocks = [f"# {document.title}", *document.lead]
    for section in document.sections:
        blocks.append(f"## {section.heading}")
        for part in section.parts:
            if isinstance(part, Picture):
                alt = part.figure.alt.replace("[", "(").replace("]", ")")
                blocks += [f"![{alt}]({part.name}.svg)", part.caption]
            elif isinstance(part, Table):
                blocks += [_table(part.rows), *part.notes]
            else:
                blocks.append(part)
    return "\n\n".join(blocks) + "\n"


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _csv(rows: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
