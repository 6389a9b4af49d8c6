"""A rule, drawn from its own answers: how far activations climb, and how far each error comes down.

    left to right   the units, in their modules, and the activations between them
    above           the losses (or what stands in for one, ê), each over the last unit of its module
    below           one arrow for each, in its module's colour: the units that its error passes, to where it stops

Where a unit hears two errors, the numbers on the arrows are the rule's weights a and b of g = a g_loc + b g_glb.
An error that arrives in a later iteration crosses the boundary dashed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch

from minilocal.draw.style import INK, MODULES, Figure, look
from minilocal.rules import Rule
from minilocal.split import split

PITCH, GAP, HALF = 1.0, 0.62, 0.34  # unit to unit, what a boundary adds, half a unit's side
LOSS, FIRST, ROW = 1.28, -0.82, -0.44  # heights: the losses, the first row of error arrows, and from row to row
SMALL = 7.5  # points


class Walk(NamedTuple):
    """The units (counted from 0, top to bottom) that one loss's error passes, and what each weighs it with."""

    loss: int
    units: list[int]
    weights: list[float]


def walks(rule: Rule, sizes: Sequence[int], epoch: int = 0) -> list[Walk]:
    """How far each error goes in this epoch, by the rule's own answers."""
    tops = [sum(sizes[: k + 1]) - 1 for k in range(len(sizes))]
    if rule.boundary.passes_on or rule.when.is_global(epoch):  # one loss; its error enters every unit
        units = list(range(tops[-1], -1, -1))
        return [Walk(len(sizes) - 1, units, [1.0] * len(units))]
    found = []
    for k, n in enumerate(sizes):
        linked = rule.boundary.linked_units(n) if k + 1 < len(sizes) else 0
        units = [tops[k] - j for j in range(n)]
        weights = [rule.boundary.weights(j)[0] if j < linked else 1.0 for j in range(n)]
        passed = rule.boundary.sends(n)[0] if k + 1 < len(sizes) else 1.0
        for m in reversed(range(k)):  # past its own module's first unit, into the one below, and on where it may
            below = rule.boundary.linked_units(sizes[m])
            units += [tops[m] - j for j in range(below)]
            weights += [passed * rule.boundary.weights(j)[1] for j in range(below)]
            passed *= rule.boundary.sends(sizes[m])[1]
            if below < sizes[m] or passed == 0:
                break
        found.append(Walk(k, units, weights))
    return found


def rule_picture(
    rule: Rule,
    modules: int | Sequence[int],
    units: int,
    *,
    epoch: int = 0,
    title: str | None = None,
    words: bool = True,
) -> Figure:
    """The network of `units` units in `modules` modules (a number, or how many units each has), under `rule`.

    `epoch`, counted from 0, matters for rules that take turns (PGL). `words` explain the picture below it.

    Raises: UserError where the units do not split so.
    """
    sizes = [len(m) for m in split(range(units), modules)]
    module = [k for k, n in enumerate(sizes) for _ in range(n)]
    x = [u * PITCH + k * GAP for u, k in enumerate(module)]
    tops = [x[sum(sizes[: k + 1]) - 1] for k in range(len(sizes))]
    errors = walks(rule, sizes, epoch)
    rows = {loss: FIRST + row * ROW for loss, row in _rows(errors).items()}

    wide = x[-1] - x[0] + 2.3
    inch = min(0.62, 12 / wide)  # how large one of our lengths is on paper
    width = max(5.4 if words else 3.0, inch * wide)
    said = textwrap.wrap(_words(rule, errors), int(15.5 * width)) if words else []
    floor = min(rows.values()) - (0.2 + 0.13 * len(said)) / inch
    with look():
        figure = Figure(figsize=(width, inch * (LOSS + 0.36 - floor) + 0.5))
        axes = figure.add_subplot(aspect="equal", anchor="W")
        axes.set_title(f"{rule.name}, K = {len(sizes)}" if title is None else title)
        axes.set_axis_off()
        pen = Pen(axes, inch / 0.62)
        for k, (n, top) in enumerate(zip(sizes, tops, strict=True)):
            pen.box(top - (n - 1) * PITCH - 0.47, top + 0.47, 0.47, _colour(k), alpha=0.22, linewidth=0)
        pen.text(-PITCH - 0.12, 0, "$x$")
        for u, place in enumerate(x):
            pen.arrow((x[u - 1] + HALF if u else -PITCH, 0), (place - HALF, 0))
            pen.box(place - HALF, place + HALF, HALF, "white", edgecolor=INK, linewidth=pen.scale, zorder=3)
            pen.text(place, 0, str(u + 1))
        for walk in errors:
            guessed = rule.boundary.provides_error and not rule.boundary.passes_on and walk.loss + 1 < len(sizes)
            _source(pen, tops[walk.loss], walk.loss, "\\hat{e}" if guessed else "L")
            _walk(pen, x, module, walk, rows[walk.loss], "--" if rule.boundary.delayed else "-")
        below: dict[str, Any] = {"color": "#777777", "size": 8, "va": "top", "textcoords": "offset points"}
        text = axes.annotate("\n".join(said), (x[0] - 0.47, min(rows.values())), (0, -12), **below)
        text.set_in_layout(False)  # words give way to the drawing, not the other way round
        axes.set(xlim=(x[0] - PITCH - 0.4, x[0] - PITCH - 0.4 + wide), ylim=(floor, LOSS + 0.36))
    reached = "; ".join(f"of loss {w.loss + 1} through units {', '.join(str(u + 1) for u in w.units)}" for w in errors)
    figure.alt = (
        f"{axes.get_title(loc='left')}: {units} units in modules of {', '.join(map(str, sizes))}. Errors: {reached}."
    )
    return figure


def _rows(errors: Sequence[Walk]) -> dict[int, int]:
    """A row for each loss's arrow, the first in which it meets no other; none lies over another's units."""
    taken: list[set[int]] = []
    found = {}
    for walk in errors:
        row = next((r for r, units in enumerate(taken) if units.isdisjoint(walk.units)), len(taken))
        if row == len(taken):
            taken.append(set())
        taken[row] |= set(walk.units)
        found[walk.loss] = row
    return found


def _words(rule: Rule, errors: list[Walk]) -> str:
    weighed = "; ×, its weight there" if any(w != 1 for walk in errors for w in walk.weights) else ""
    when = f"; {rule.when.describe()}" if rule.when.describe() else ""
    legend = f"Black, activations; colour, an error, as far as it goes{weighed}."
    return f"{legend} Error from above: {rule.boundary.describe()}{when}."


def _colour(k: int) -> str:
    return MODULES[k % len(MODULES)]


def _source(pen: Pen, x: float, k: int, letter: str) -> None:
    """L_k above the last unit of module k: the activation goes up to it, its error comes back."""
    pen.axes.add_patch(Circle((x, LOSS), 0.27, facecolor=_colour(k), edgecolor="none", zorder=3))
    pen.text(x, LOSS, f"${letter}_{{{k + 1}}}$", color="white")
    pen.arrow((x - 0.13, HALF), (x - 0.13, LOSS - 0.22))
    pen.arrow((x + 0.13, LOSS - 0.22), (x + 0.13, HALF), _colour(k), 2)


def _walk(pen: Pen, x: list[float], module: list[int], walk: Walk, y: float, across: str) -> None:
    """One error: out of the last unit of its module, under every unit that it passes, to where it stops."""
    colour = _colour(walk.loss)
    style: dict[str, Any] = {"color": colour, "linewidth": 2 * pen.scale, "zorder": 2}
    pen.axes.plot([x[walk.units[0]]] * 2, [-HALF, y], **style)
    for above, unit in zip(walk.units, walk.units[1:], strict=False):
        boundary = module[above] != module[unit]
        pen.axes.plot([x[above], x[unit]], [y, y], across if boundary else "-", **style)
    last = x[walk.units[-1]]
    pen.arrow((last, y), (last - HALF - 0.1, y), colour, 2)
    for unit, weight in zip(walk.units, walk.weights, strict=True):
        pen.axes.plot([x[unit]], [y], "o", color=colour, markersize=5 * pen.scale, zorder=3)
        if weight != 1:
            pen.text(x[unit] - 0.09, y + 0.06, f"×{weight:.4g}", size=SMALL, ha="right", va="bottom")


@dataclass(frozen=True)
class Pen:
    """Strokes and letters that shrink with a large network."""

    axes: Axes
    scale: float

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], colour: str = INK, width: float = 1.2
    ) -> None:
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": width * self.scale, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", end, start, arrowprops=style | {"mutation_scale": 10 * self.scale}, zorder=2)

    def box(self, left: float, right: float, half: float, colour: str, **style: Any) -> None:
        shape = f"round,pad=0,rounding_size={0.3 * half}"
        patch = FancyBboxPatch((left, -half), right - left, 2 * half, boxstyle=shape, facecolor=colour, **style)
        self.axes.add_patch(patch)

    def text(self, x: float, y: float, words: str, color: str = INK, size: float = 10, **where: Any) -> None:
        if size * self.scale < 4:
            return  # too small to read: a network of fifty units is drawn without its numbers
        where = {"ha": "center", "va": "center"} | where
        self.axes.text(x, y, words, color=color, size=size * self.scale, zorder=4, **where)
