"""The style of every figure: one colour for each rule and other colours for modules.

Figures are objects, never pyplot's, so matplotlib opens no window, keeps no figure and needs no screen.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import cycle
from typing import Any

import matplotlib.figure
import matplotlib.style
from PIL import Image

from minilocal.errors import UserError

STYLE = ["petroff10", "minilocal.draw.minilocal"]

# Petroff's ten colours, which colour-blind readers can distinguish; grey for BP, the baseline.
COLOURS = {
    "bp": "#717581", "gll": "#ffa90e", "backlink": "#3f90da", "dgl": "#e76300", "predsim": "#832db6",
    "infopro": "#bd1f01", "pgl": "#a96b59", "dni": "#b9ac70", "ddg": "#94a4a2", "fdg": "#92dadd",
    "interlocking": "#22263a", "auglocal": "#c46ad0", "hpff": "#3d7a1f", "man": "#4f7a28", "contsup": "#2d8a45",
}  # fmt: skip
CYCLE = ["#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd", "#94a4a2"]
MODULES = ["#1b7f5c", "#b0307a", "#5f6b12", "#5a4fcf"]  # of neighbouring modules; no rule has one of them
DASHES: list[Any] = [  # of runs that share a colour
    "-", "--", ":", "-.", (0, (8, 2)), (0, (1, 3)), (0, (3, 1, 1, 1, 1, 1)), (0, (5, 5)),
]  # fmt: skip
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]  # of their points, in the same order
INK = "#333333"

_PALETTE: ContextVar[Mapping[str, str]] = ContextVar("palette", default={})  # noqa: B039 - never written into


class Figure(matplotlib.figure.Figure):
    """A figure that a notebook cell displays without a magic line.

    `alt` describes it for readers who cannot see it; a notebook stores it beside the image. That image has 256 colours,
    which takes a quarter of the bytes.
    """

    alt = ""

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        file = io.BytesIO()
        with Image.open(io.BytesIO(to_png(self))) as picture:
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
        return file.getvalue(), {"alt": self.alt}


@contextmanager
def look() -> Iterator[None]:
    """Use the style while a figure is made or written, and restore matplotlib's settings."""
    with matplotlib.style.context(STYLE):
        yield


@contextmanager
def palette(colour_of: Mapping[str, str]) -> Iterator[None]:
    """Inside the block, names of `colour_of` keep their colour and their dashes in every figure."""
    token = _PALETTE.set(colour_of)
    try:
        yield
    finally:
        _PALETTE.reset(token)


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: its rule's, by the first word ("BackLink, l = 2"), else one of no rule in `names`."""
    names, fixed = list(names), _PALETTE.get()
    if all(name in fixed for name in names):
        return {name: fixed[name] for name in names}
    rules = {name: COLOURS.get(re.findall(r"[a-z]*", name.lower())[0]) for name in names}
    free = cycle([colour for colour in CYCLE if colour not in rules.values()] or CYCLE)
    return {name: rules[name] or next(free) for name in names}


def dashes(colour_of: Mapping[str, str]) -> dict[str, Any]:
    """A dash for each name, from {name: colour}: names of one colour get different ones."""
    return {name: DASHES[number % len(DASHES)] for name, number in _numbers(colour_of).items()}


def markers(colour_of: Mapping[str, str]) -> dict[str, str]:
    """The same of points: a marker for each name."""
    return {name: MARKERS[number % len(MARKERS)] for name, number in _numbers(colour_of).items()}


def _numbers(colour_of: Mapping[str, str]) -> dict[str, int]:
    """The number of each name among those of its colour, of the palette's where it has all of them."""
    fixed = _PALETTE.get()
    if any(name not in fixed for name in colour_of):
        fixed = colour_of
    count: Counter[str] = Counter()
    number_of = {}
    for name, colour in fixed.items():
        number_of[name] = count[colour]
        count[colour] += 1
    return {name: number_of[name] for name in colour_of}


def legend_below(figure: Figure, line: float = 0.2) -> None:
    """Move the legend of the figure's axes below them, which grows by `line` inches for each entry."""
    (axes,) = figure.axes
    legend = axes.get_legend()
    if legend is None:
        return
    handles, labels = axes.get_legend_handles_labels()
    title = legend.get_title().get_text()
    legend.remove()
    with look():
        figure.legend(
            handles, labels, title=title or None, loc="outside lower left", alignment="left", handlelength=4.0
        )
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + line * (len(labels) + bool(title)))


def to_png(figure: matplotlib.figure.Figure) -> bytes:
    """The figure as the bytes of a PNG file. Raises: UserError for anything but a figure."""
    return _written(figure, "png", {"Software": None})


def to_svg(figure: matplotlib.figure.Figure) -> str:
    """The figure as SVG text; the same figure gives the same text. Raises: UserError for anything but a figure."""
    return _written(figure, "svg", {"Date": None}).decode()


def _written(figure: matplotlib.figure.Figure, kind: str, metadata: dict[str, Any]) -> bytes:
    """The bytes of a file. The layout starts from its grid, not from where a drawing before has left the axes."""
    if not isinstance(figure, matplotlib.figure.Figure):
        raise UserError(f"{figure!r} is no figure: give what minilocal.draw makes, or one of matplotlib.")
    file = io.BytesIO()
    for axes in figure.axes:
        if (cell := axes.get_subplotspec()) is not None:
            axes.set_subplotspec(cell)
    with look():
        figure.savefig(file, format=kind, metadata=metadata)
    return file.getvalue()
