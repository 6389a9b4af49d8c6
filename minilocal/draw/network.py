"""A Learner as a figure: its modules from the lowest up, their units, losses, errors and kept bytes.

    a band            a module: its units from left to right, each with the shape of its output for one image
    right             its loss and the network behind it, or a synthetic gradient, ê
    between bands     the activations, upward; and the errors that cross the boundary, downward

Three or more equal units in a row are one box where a module has more than four units. The parts of the figure have
names in its SVG: unit-U, loss-K, up-K and down-K (above module K), all counted from 1.
"""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch
from matplotlib.path import Path

from minilocal.draw.network_layout import GUTTER, HIGH, LOSS, WIDE, Layout, Row
from minilocal.draw.style import INK, MODULES, Figure, look
from minilocal.errors import whole
from minilocal.inputs import check_learner
from minilocal.learner import Learner
from minilocal.nets.summary import by
from minilocal.summary import auxiliary_parameters, kept_bytes

FAINT = "#5c5c5c"


def network(learner: Learner, batch_size: int = 128) -> Figure:
    """The figure of a Learner: modules, units with their shapes, losses, the errors that cross, the bytes kept.

    The bytes are those of `learner.summary(batch_size)`: what each module keeps at its peak, and what it still keeps
    while other modules work. The figure is drawn for the Learner's epoch, which matters for rules with global epochs.

    >>> import minilocal as ml
    >>> net = ml.nets.mlp((16, 16), classes=4, size=2, rng=ml.rng(0))
    >>> learner = ml.Learner(net, ml.rules.gll(), modules=3, rng=ml.rng(1))
    >>> network(learner).alt.splitlines()[1]
    'Module 1 has the unit 1; no error crosses to it from above; it keeps 0.01 MB, and 0.00 MB while others work.'

    Raises: UserError for anything but a Learner, and a batch size below 1.
    """
    check_learner("network", learner)
    images = whole("batch_size", batch_size)
    layout, kept = Layout(learner), kept_bytes(learner, images)
    sizes = ["?"] * len(layout.rows) if kept is None else [_mb(n) for n in kept.peak]
    waits = ["?"] * len(layout.rows) if kept is None else [_mb(n) for n in kept.waiting]
    title = f"{learner.net.name} by {learner.rule.name}, K = {len(layout.rows)}"
    notes = [line for text in _notes(learner, images) for line in textwrap.wrap(text, 78)]
    with look():
        low = -0.62 - 0.135 * len(notes)
        figure = Figure(figsize=(WIDE, layout.height + 0.35 - low))
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDE), ylim=(low, layout.height + 0.35))
        axes.set_axis_off()
        _text(axes, 0.08, layout.height + 0.2, title, size=11, ha="left")
        for k, row in enumerate(layout.rows):
            _draw_module(axes, learner, layout, k, f"keeps {sizes[k]}", f"waits {waits[k]}")
            _draw_boundary(axes, layout, k, by(learner.net.shape))
            _draw_errors(axes, row)
        for n, line in enumerate(notes):
            _text(axes, 0.08, -0.56 - 0.135 * n, line, size=7.5, color=FAINT, ha="left", va="top")
    lines = [_sentence(row, sizes[row.number], waits[row.number]) for row in layout.rows]
    figure.alt = "\n".join([f"{title}, bytes for batches of {images}.", *lines])
    return figure


def _notes(learner: Learner, images: int) -> list[str]:
    return [
        "Black, activations upward. Colour, the error of the loss in that colour; ×, its weight where two meet.",
        f"Error from above: {learner.rule.boundary.describe()}.",
        f"Kept with {images} images: at the module's peak, and while other modules work.",
    ]


def _draw_module(axes: Axes, learner: Learner, layout: Layout, k: int, keeps: str, waits: str) -> None:
    """The band of a module, its units, and its loss."""
    row, module, colour = layout.rows[k], learner.modules[k], _colour(k)
    _round(axes, 0.04, row.low, WIDE - 0.08, row.height, colour, alpha=0.16, linewidth=0)
    _round(axes, 0.04, row.low, 0.05, row.height, colour, linewidth=0)
    middle = row.low + row.height / 2
    _text(axes, 0.15, middle + 0.17, f"module {k + 1}", size=9, ha="left", weight="bold")
    _text(axes, 0.15, middle, keeps, size=7.5, ha="left")
    _text(axes, 0.15, middle - 0.15, waits, size=7.5, ha="left")
    for before, box in zip([None, *row.boxes], row.boxes, strict=False):
        if box.count > 1:
            _round(axes, box.left + 0.04, box.low + 0.04, box.width, HIGH, "white", edgecolor=INK, linewidth=0.8)
        _round(
            axes, box.left, box.low, box.width, HIGH, "white", edgecolor=INK, linewidth=1, gid=f"unit-{box.first + 1}"
        )
        _text(axes, box.x, box.low + 0.27, box.label, size=8)
        _text(axes, box.x, box.low + 0.11, by(box.shape), size=6.5)
        if before is not None and before.low == box.low:
            _line(axes, [(before.right, box.middle), (box.left, box.middle)], INK, 1)
        elif before is not None:  # from the end of a line of boxes to the beginning of the one above
            turn = before.low + HIGH + 0.09
            path = [(before.x, before.low + HIGH), (before.x, turn), (box.left - 0.06, turn)]
            _line(axes, [*path, (box.left - 0.06, box.middle), (box.left, box.middle)], INK, 1)
    if row.loss:
        top, y = row.boxes[-1], row.boxes[-1].middle
        axes.add_patch(Circle((LOSS, y + 0.04), 0.15, facecolor=colour, edgecolor="none", gid=f"loss-{k + 1}"))
        _text(axes, LOSS, y + 0.04, f"${row.loss}_{{{k + 1}}}$", color="white", size=9)
        _line(axes, [(top.right, y + 0.09), (LOSS - 0.15, y + 0.09)], INK, 1)
        if row.own:
            _line(axes, [(LOSS - 0.15, y - 0.01), (top.right, y - 0.01)], colour, 1.8)
        last = k + 1 == len(layout.rows)
        words = "head" if last else "synthesiser" if module.synthesiser is not None else "auxiliary"
        number = (
            sum(a.size for a in learner.net.head.parameters.values()) if last else auxiliary_parameters(module, last)
        )
        _text(axes, LOSS, y - 0.2, words, size=6.5)
        _text(axes, LOSS, y - 0.31, f"{number:,}", size=6.5)


def _draw_boundary(axes: Axes, layout: Layout, k: int, images: str) -> None:
    """The activations into module k, and the error that leaves it downward."""
    row, first = layout.rows[k], layout.rows[k].boxes[0]
    if k == 0:
        _line(axes, [(first.x, -0.22), (first.x, first.low)], INK, 1)
        _text(axes, first.x, -0.32, f"images {images}", size=7.5)
        return
    below, top = layout.rows[k - 1], layout.rows[k - 1].boxes[-1]
    base = below.low + below.height
    up, x = base + 0.68 * GUTTER, top.x + 0.16
    dashes = (0, (4, 2))
    path = [(x, top.low + HIGH), (x, up), (first.x, up), (first.x, first.low)]
    _line(axes, path, INK, 1, gid=f"up-{k}", linestyle=dashes if below.activations_delayed else "-")
    words = below.arrives.removeprefix("the ") or "no error crosses"
    _text(axes, 0.1, base + GUTTER / 2, "\n".join(textwrap.wrap(words, 17)), size=6.5, color=FAINT, ha="left")
    if below.arrives:
        down, left, y = base + 0.3 * GUTTER, first.left - 0.1, first.low - row.depth(below.source != k)
        ends = [(top.x, down), (top.x, top.low + HIGH)]
        if below.target:  # of the synthesiser, not of the unit
            ends = [(LOSS, down), (LOSS, top.middle + 0.19)]
        path = [(first.left, y), (left, y), (left, down), *ends]
        _line(axes, path, _colour(below.source), 1.8, gid=f"down-{k}", linestyle=dashes if below.delayed else "-")


def _draw_errors(axes: Axes, row: Row) -> None:
    """Under the units: the module's own error, and the error from above as far as it goes."""
    for above, weight_of, colour in ((False, row.own, _colour(row.number)), (True, row.above, _colour(row.source))):
        reached = [box for box in row.boxes if box.first in weight_of]
        for box in reached:
            y = box.low - row.depth(above)
            words = f"×{weight:.3g}" if (weight := weight_of[box.first]) != 1 else ""
            _text(axes, box.right, y, words, size=5.5, ha="right")
            _line(axes, [(box.right - 0.045 * len(words), y), (box.left, y)], colour, 1.8)


def _sentence(row: Row, keeps: str, waits: str) -> str:
    """A module in words."""
    units = ", ".join(box.words for box in row.boxes)
    many = "units" if len(row.boxes) > 1 or row.boxes[0].count > 1 else "unit"
    error = f"{row.arrives} crosses to it from above" if row.arrives else "no error crosses to it from above"
    return f"Module {row.number + 1} has the {many} {units}; {error}; it keeps {keeps}, and {waits} while others work."


def _mb(n: int) -> str:
    return f"{n / 1e6:,.{2 if n < 1e7 else 1 if n < 1e8 else 0}f} MB"


def _colour(k: int) -> str:
    return MODULES[k % len(MODULES)]


def _text(axes: Axes, x: float, y: float, words: str, **style: Any) -> None:
    centred: dict[str, Any] = {"ha": "center", "va": "center", "color": INK, "zorder": 4}
    axes.text(x, y, words, **centred | style)


def _round(axes: Axes, x: float, y: float, width: float, height: float, colour: str, **style: Any) -> None:
    shape = "round,pad=0,rounding_size=0.03"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=shape, facecolor=colour, **{"zorder": 1} | style))


def _line(axes: Axes, points: list[tuple[float, float]], colour: str, width: float, **style: Any) -> None:
    """A line through the points, with an arrowhead at its end."""
    (x0, y0), (x1, y1) = points[-2:]
    length = max(abs(x1 - x0), abs(y1 - y0)) or 1
    a, b, size = (x1 - x0) / length, (y1 - y0) / length, 0.04
    points = [*points[:-1], (x1 - a * size, y1 - b * size)]
    body = {"facecolor": "none", "edgecolor": colour, "linewidth": width, "zorder": 3, "capstyle": "butt"}
    axes.add_patch(PathPatch(Path(points), **body | style))
    head = [(x1, y1), (x1 - 2 * a * size - b * size, y1 - 2 * b * size + a * size)]
    head.append((x1 - 2 * a * size + b * size, y1 - 2 * b * size - a * size))
    axes.add_patch(PathPatch(Path([*head, head[0]]), facecolor=colour, edgecolor="none", zorder=3))
