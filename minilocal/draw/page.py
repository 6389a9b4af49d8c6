"""A page of figures, images and tables in one self-contained HTML file, for desktops and phones."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --faint: #666; --line: #ccc; --code: #f1f1f1 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e4e4; --paper: #17191c; --faint: #a5a5a5; --line: #484b50; --code: #2a2d31 }
  a { color: #8ab4f8 }
}
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 46rem; margin: 1.5rem auto; padding: 0 1rem; overflow-wrap: break-word }
h1, h2 { line-height: 1.2; font-weight: 600 } h1 { font-size: 1.7rem } h2 { font-size: 1.25rem; margin-top: 2.4rem }
.wide { overflow-x: auto } table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .35rem 1rem .35rem 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid var(--faint) } td { border-bottom: 1px solid var(--line) } .number { text-align: right }
td { white-space: nowrap } td.long { white-space: normal; min-width: 16rem }
figure { margin: 1rem 0 } figcaption { font-size: .9rem; color: var(--faint) }
figure svg { max-width: 100%; height: auto; background: #fff; border-radius: 4px }
.near { background: #2e9e5b33 } .off { background: #ffa90e44 } .far { background: #d3302f44 }
.images { display: flex; flex-wrap: wrap; gap: .8rem } .images figure { margin: 0 }
.images figcaption { white-space: pre-line; line-height: 1.35 }
.images img { image-rendering: pixelated; border-radius: 4px }
dt { font-weight: 600; margin-top: .6rem } dd { margin-left: 1.2rem }
code { background: var(--code); padding: .1rem .3rem; border-radius: 3px }
"""

LONG = 60  # letters from which on a cell may have several lines


class Page:
    """A page, built from top to bottom; `html()` is its file.

    Texts may hold `code` between backquotes, and links as [words](address).
    """

    def __init__(self, title: str) -> None:
        self.title, self._parts = title, [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        """Add a heading."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(f"<p>{_inline(text)}</p>")

    def figure(self, svg: str, caption: str, shows: str) -> None:
        """Add a figure from `to_svg`, its caption, and the text `shows` for readers who cannot see it."""
        drawing = svg[svg.index("<svg") :]  # HTML does not allow the XML prologue
        drawing = drawing.replace("<svg", f'<svg role="img" aria-label="{escape(shows)}"', 1)
        self._parts.append(f"<figure>{drawing}<figcaption>{_inline(caption)}</figcaption></figure>")

    def images(self, images: Sequence[tuple[bytes, str, str]]) -> None:
        """Add small images side by side, each (bytes of a PNG file, what it shows, caption)."""
        figures = "".join(
            f'<figure><img src="data:image/png;base64,{b64encode(png).decode()}" alt="{escape(shows)}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for png, shows, caption in images
        )
        self._parts.append(f"<div class='images'>{figures}</div>")

    def table(self, rows: Sequence[Mapping[str, str]], shades: Mapping[tuple[int, str], str] | None = None) -> None:
        """Add a table of rows with the same columns; a cell that begins with a number is aligned right.

        `shades` colours cells, {(row from 0, column): "near", "off" or "far"}.
        """
        shades = shades or {}
        head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
        cells = [[_cell(text, shades.get((n, name), "")) for name, text in row.items()] for n, row in enumerate(rows)]
        body = "".join("<tr>" + "".join(row) + "</tr>" for row in cells)
        self._parts.append(f"<div class='wide'><table><tr>{head}</tr>{body}</table></div>")

    def words(self, meanings: Mapping[str, str]) -> None:
        """Add a list of words and their meanings."""
        entries = "".join(f"<dt>{_inline(word)}</dt><dd>{_inline(meaning)}</dd>" for word, meaning in meanings.items())
        self._parts.append(f"<dl>{entries}</dl>")

    def html(self) -> str:
        """The whole file."""
        head = (
            f"<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{escape(self.title)}</title><style>{STYLE}</style>"
        )
        return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(self._parts)}</body></html>\n"


def _inline(text: str) -> str:
    """The text in HTML, with `code` and [links](address); everything else is escaped."""
    text = re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
    return re.sub(r"\[([^]]*)\]\(([^)]*)\)", r'<a href="\2">\1</a>', text)


def _cell(text: str, shade: str = "") -> str:
    is_number, is_long = bool(re.match(r"[+-]?\d", text)) and len(text) < LONG, len(text) >= LONG
    kinds = " ".join(["number"] * is_number + ["long"] * is_long + [shade] * bool(shade))
    return f"<td class='{kinds}'>{_inline(text)}</td>" if kinds else f"<td>{_inline(text)}</td>"
