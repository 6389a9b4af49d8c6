"""One look for every figure, and one colour for every rule, whatever the figure; modules have others.

Figures are made as objects and never through pyplot: nothing is opened, nothing is left behind, no screen is needed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any

import matplotlib.figure
import matplotlib.style
from PIL import Image

STYLE = ["petroff10", "minilocal.draw.minilocal"]

# Petroff's ten, told apart by colour-blind readers too; grey for BP, which the others are measured against.
COLOURS = {
    "bp": "#717581", "gll": "#ffa90e", "backlink": "#3f90da", "dgl": "#e76300", "predsim": "#832db6",
    "infopro": "#bd1f01", "pgl": "#a96b59", "dni": "#b9ac70", "ddg": "#94a4a2", "fdg": "#92dadd",
}  # fmt: skip
CYCLE = ["#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd", "#94a4a2"]
MODULES = [
    "#1b7f5c",
    "#b0307a",
    "#5f6b12",
    "#5a4fcf",
]  # of neighbouring modules; a colour of a module is none of a rule
INK = "#333333"


class Figure(matplotlib.figure.Figure):
    """A figure that shows itself at the end of a notebook cell, without a magic line.

    `alt` says what it shows, for those who cannot see it; a notebook keeps it beside the picture, which has 256 colours
    there and a quarter of the bytes.
    """

    alt = ""

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        file = io.BytesIO()
        with Image.open(io.BytesIO(to_png(self))) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
        return file.getvalue(), {"alt": self.alt}


@contextmanager
def look() -> Iterator[None]:
    """The style, for as long as a figure is made or written."""
    with matplotlib.style.context(STYLE):
        yield


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: its rule's, by the first word ("BackLink, l = 2"), else one that no rule here has."""
    names = list(names)
    rules = {name: COLOURS.get(re.findall(r"[a-z]*", name.lower())[0]) for name in names}
    free = cycle([colour for colour in CYCLE if colour not in rules.values()] or CYCLE)
    return {name: rules[name] or next(free) for name in names}


def to_png(figure: matplotlib.figure.Figure) -> bytes:
    """The figure as a PNG file's bytes."""
    return _written(figure, "png", {"Software": None})


def to_svg(figure: matplotlib.figure.Figure) -> str:
    """The figure as SVG text; the same figure gives the same text."""
    return _written(figure, "svg", {"Date": None}).decode()


def _written(figure: matplotlib.figure.Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    with look():
        figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()
