"""A page of figures and tables in one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #333; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2; font-weight: 600 } h2 { margin-top: 2.2rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #999 } td { border-bottom: 1px solid #e4e4e4 } .number { text-align: right }
figure { margin: 1rem 0 } figure svg { max-width: 100%; height: auto } figcaption { font-size: .9rem; color: #666 }
code { background: #f4f4f4; padding: .1rem .3rem }
"""


class Page:
    """Built from top to bottom; `html()` is the file."""

    def __init__(self, title: str) -> None:
        self.title, self._parts = title, [f"<h1>{escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> None:
        """A paragraph; `code` stands between backquotes."""
        pieces = [f"<code>{escape(t)}</code>" if i % 2 else escape(t) for i, t in enumerate(text.split("`"))]
        self._parts.append(f"<p>{''.join(pieces)}</p>")

    def figure(self, svg: str, caption: str) -> None:
        """A figure from `to_svg`."""
        drawing = svg[svg.index("<svg") :]  # without the XML prologue, which HTML does not take
        self._parts.append(f"<figure>{drawing}<figcaption>{escape(caption)}</figcaption></figure>")

    def table(self, rows: Sequence[Mapping[str, str]]) -> None:
        """Rows of the same columns; what begins with a digit stands to the right."""
        head = "".join(f"<th>{escape(name)}</th>" for name in rows[0])
        body = "".join("<tr>" + "".join(_cell(text) for text in row.values()) + "</tr>" for row in rows)
        self._parts.append(f"<table><tr>{head}</tr>{body}</table>")

    def html(self) -> str:
        head = f"<meta charset='utf-8'><title>{escape(self.title)}</title><style>{STYLE}</style>"
        return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(self._parts)}</body></html>\n"


def _cell(text: str) -> str:
    return f"<td class='number'>{escape(text)}</td>" if text[:1].isdigit() else f"<td>{escape(text)}</td>"
