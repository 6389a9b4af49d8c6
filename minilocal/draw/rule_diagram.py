"""A diagram of a rule: the network's modules, its losses, and the path of each error through the units.

    left to right   the units, in their modules, and the activations between them
    above           the losses (or a synthetic gradient, ê), each over the last unit of its module
    below           one arrow for each error, in its module's colour, under every unit that it passes

The numbers on an arrow are the weights a and b of g = a g_loc + b g_glb, where a unit gets two errors. An error that
arrives in a later iteration crosses a boundary dashed. Weights that cross (MAN) are a dotted arrow into a loss.
Contexts are grey, above the units: from what they encode to the inputs that they are added to.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch

from minilocal.draw.style import INK, MODULES, Figure, look
from minilocal.errors import whole
from minilocal.inputs import training_rule
from minilocal.rules import Rule
from minilocal.split import split

PITCH, GAP, HALF = 1.0, 0.62, 0.34  # from unit to unit, what a boundary adds to that, half a unit's side
CONTEXT = {"image": 0.76, "below": 0.58}  # heights of the arrows of contexts, by their source
GREY = "#717581"  # of contexts
LOSS, FIRST, ROW = 1.28, -0.82, -0.44  # heights: of the losses, of the first row of errors, and from row to row
INCH = 0.62  # the largest size of one length above, in inches
CAPTION = 0.13  # inches that a line of the caption takes
SMALL = 7.5  # points


class ErrorPath(NamedTuple):
    """The units (counted from 0, top to bottom) that the error of one loss passes, and its weight in each."""

    loss: int
    units: list[int]
    weights: list[float]


def error_paths(rule: Rule, sizes: Sequence[int], epoch: int = 0) -> list[ErrorPath]:
    """The path of each loss's error in this epoch, by the rule's answers, for modules of these numbers of units."""
    tops = [sum(sizes[: k + 1]) - 1 for k in range(len(sizes))]
    if rule.boundary.passes_on or rule.when.is_global(epoch):  # one loss; its error enters every unit
        units = list(range(tops[-1], -1, -1))
        return [ErrorPath(len(sizes) - 1, units, [1.0] * len(units))]
    if rule.boundary.one_loss:
        return _paths_of_one_loss(rule, sizes, tops)
    paths = []
    for k, n in enumerate(sizes):
        if k < rule.objective.lowest and k + 1 < len(sizes):
            paths.append(ErrorPath(k, [], []))
            continue
        linked = rule.boundary.linked_units(n) if k + 1 < len(sizes) else 0
        units = [tops[k] - j for j in range(n)]
        weights = [rule.boundary.weights(j)[0] if j < linked else 1.0 for j in range(n)]
        passed = rule.boundary.sends(n)[0] if k + 1 < len(sizes) else 1.0
        for m in reversed(range(k)):  # beyond its own module, while the boundary passes it on
            linked = rule.boundary.linked_units(sizes[m])
            units += [tops[m] - j for j in range(linked)]
            weights += [passed * rule.boundary.weights(j)[1] for j in range(linked)]
            passed *= rule.boundary.sends(sizes[m])[1]
            if linked < sizes[m] or passed == 0:
                break
        paths.append(ErrorPath(k, units, weights))
    return paths


def _paths_of_one_loss(rule: Rule, sizes: Sequence[int], tops: Sequence[int]) -> list[ErrorPath]:
    """The paths of errors that pass through whole modules: weight 1 in modules that learn from that loss, else 0."""
    boundary, last = rule.boundary, len(sizes) - 1
    paths = []
    for j in range(last + 1):
        lowest = boundary.lowest_learner(j, last)
        units: list[int] = []
        weights: list[float] = []
        for k in reversed(range(0 if lowest is None else lowest, j + 1 if lowest is not None else 0)):
            units += [tops[k] - u for u in range(sizes[k])]
            weights += [float(boundary.learns_from(k, last) == j)] * sizes[k]
        paths.append(ErrorPath(j, units, weights))
    return paths


def rows_of(paths: Sequence[ErrorPath]) -> dict[int, int]:
    """The row of each loss's arrow: the first in which its units are free, so that no arrow covers another."""
    taken: list[set[int]] = []
    rows = {}
    for path in paths:
        row = next((r for r, units in enumerate(taken) if units.isdisjoint(path.units)), len(taken))
        if row == len(taken):
            taken.append(set())
        taken[row] |= set(path.units)
        rows[path.loss] = row
    return rows


class Layout:
    """Positions in the diagram's own lengths (PITCH is 1), and the scale and size of the figure in inches."""

    def __init__(self, rule: Rule, sizes: Sequence[int], paths: list[ErrorPath], caption: str) -> None:
        self.rule, self.sizes, self.paths = rule, sizes, paths
        self.module = [k for k, n in enumerate(sizes) for _ in range(n)]  # of each unit
        self.x = [u * PITCH + k * GAP for u, k in enumerate(self.module)]
        self.tops = [self.x[sum(sizes[: k + 1]) - 1] for k in range(len(sizes))]
        self.rows = {loss: FIRST + row * ROW for loss, row in rows_of(paths).items()}
        self.wide = self.x[-1] - self.x[0] + 2.3
        self.inch = min(INCH, 12 / self.wide)
        self.width = max(5.4 if caption else 3.0, self.inch * self.wide)
        self.caption = textwrap.wrap(caption, int(15.5 * self.width)) if caption else []
        self.floor = min(self.rows.values()) - (0.2 + CAPTION * len(self.caption)) / self.inch

    @property
    def figsize(self) -> tuple[float, float]:
        """Width and height of the figure, in inches."""
        return self.width, self.inch * (LOSS + 0.36 - self.floor) + 0.5

    @property
    def limits(self) -> dict[str, tuple[float, float]]:
        """The axes' limits, with room for x on the left and for the losses above."""
        left = self.x[0] - PITCH - 0.4
        return {"xlim": (left, left + self.wide), "ylim": (self.floor, LOSS + 0.36)}


def rule_picture(
    rule: Rule,
    modules: int | Sequence[int],
    units: int,
    *,
    epoch: int = 0,
    title: str | None = None,
    words: bool = True,
) -> Figure:
    """The diagram of `rule` on a network of `units` units in `modules` modules (a number, or the units of each).

    epoch   counted from 0; matters for rules with global epochs (PGL)
    title   the rule's name and K by default
    words   whether a caption explains the diagram below it

    Raises: UserError for anything but a rule, an epoch below 0, and where the units cannot be split so.
    """
    rule, epoch = training_rule(rule), whole("epoch", epoch, 0)
    sizes = [len(m) for m in split(range(units), modules)]
    paths = error_paths(rule, sizes, epoch)
    layout = Layout(rule, sizes, paths, _caption(rule, paths) if words else "")
    with look():
        figure = Figure(figsize=layout.figsize)
        axes = figure.add_subplot(aspect="equal", anchor="W")
        axes.set_title(f"{rule.name}, K = {len(sizes)}" if title is None else title)
        axes.set_axis_off()
        pen = Pen(axes, layout.inch / INCH)
        _draw_network(pen, layout)
        _draw_contexts(pen, layout)
        for path in paths:
            _draw_loss(pen, layout, path.loss, bool(path.units))
            if path.units:
                _draw_error(pen, layout, path)
        if rule.boundary.averages is not None:
            _draw_weights(pen, layout)
        _draw_caption(axes, layout)
        axes.set(**layout.limits)
    reached = "; ".join(
        f"of loss {p.loss + 1} through units {', '.join(str(u + 1) for u in p.units)}" for p in paths if p.units
    )
    split_into = f"{units} units in modules of {', '.join(map(str, sizes))}"
    contexts = f" {sentence(rule.context.describe())}." if rule.context.source != "none" else ""
    figure.alt = f"{axes.get_title(loc='left')}: {split_into}. Errors: {reached}.{contexts}"
    return figure


def _caption(rule: Rule, paths: list[ErrorPath]) -> str:
    weights = {w for path in paths for w in path.weights}
    weighed = "; ×, its weight there" * bool(weights - {0, 1}) + "; a hollow dot, it passes without effect" * (
        0 in weights
    )
    when = f"; {rule.when.describe()}" if rule.when.describe() else ""
    legend = f"Black, activations; colour, an error, as far as it goes{weighed}."
    legend += " Dotted, weights." * (rule.boundary.averages is not None)
    context = f" {sentence(rule.context.describe())}." if rule.context.source != "none" else ""
    return f"{legend} Error from above: {rule.boundary.describe()}{when}.{context}"


def sentence(words: str) -> str:
    """The words with a capital letter."""
    return words[:1].upper() + words[1:]


def _colour(k: int) -> str:
    return MODULES[k % len(MODULES)]


def _draw_network(pen: Pen, layout: Layout) -> None:
    """The modules as coloured bands, the units on them, and the activations from unit to unit."""
    for k, (n, top) in enumerate(zip(layout.sizes, layout.tops, strict=True)):
        pen.box(top - (n - 1) * PITCH - 0.47, top + 0.47, 0.47, _colour(k), alpha=0.22, linewidth=0)
    pen.text(-PITCH - 0.12, 0, "$x$")
    for u, x in enumerate(layout.x):
        pen.arrow((layout.x[u - 1] + HALF if u else -PITCH, 0), (x - HALF, 0))
        pen.box(x - HALF, x + HALF, HALF, "white", edgecolor=INK, linewidth=pen.scale, zorder=3)
        pen.text(x, 0, str(u + 1))


def _draw_contexts(pen: Pen, layout: Layout) -> None:
    """What each module is given besides h, from its source to the module's input."""
    entrances = [-PITCH, *(layout.x[sum(layout.sizes[:k])] - HALF - 0.2 for k in range(1, len(layout.sizes)))]
    source = layout.rule.context.source
    style: dict[str, Any] = {"color": GREY, "linewidth": 1.2 * pen.scale, "zorder": 2}
    for k, x in enumerate(entrances[1:], 1):
        for of, start in (("image", entrances[0]), ("below", entrances[k - 1])):
            if source == of or (source == "both" and (of == "image" or k > 1)):
                y = CONTEXT[of]
                pen.axes.plot([start, start, x], [0.12, y, y], **style)
                pen.arrow((x, y), (x, 0.06), GREY)


def _draw_loss(pen: Pen, layout: Layout, k: int, returns: bool) -> None:
    """L_k above the last unit of module k: the activation goes up to it; its error, if a unit gets it, comes back."""
    boundary, x = layout.rule.boundary, layout.tops[k]
    synthetic = boundary.provides_error and not boundary.passes_on and k + 1 < len(layout.sizes)
    pen.axes.add_patch(Circle((x, LOSS), 0.27, facecolor=_colour(k), edgecolor="none", zorder=3))
    letter = "\\hat{e}" if synthetic else "L"
    pen.text(x, LOSS, f"${letter}_{{{k + 1}}}$", color="white")
    pen.arrow((x - 0.13, HALF), (x - 0.13, LOSS - 0.22))
    if returns:
        pen.arrow((x + 0.13, LOSS - 0.22), (x + 0.13, HALF), _colour(k), 2)


def _draw_error(pen: Pen, layout: Layout, path: ErrorPath) -> None:
    """One error: out of the last unit of its module, under every unit that it passes, to where it stops."""
    x, module, y = layout.x, layout.module, layout.rows[path.loss]
    across, colour = "--" if layout.rule.boundary.delayed else "-", _colour(path.loss)
    style: dict[str, Any] = {"color": colour, "linewidth": 2 * pen.scale, "zorder": 2}
    pen.axes.plot([x[path.units[0]]] * 2, [-HALF, y], **style)
    for above, unit in zip(path.units, path.units[1:], strict=False):
        pen.axes.plot([x[above], x[unit]], [y, y], across if module[above] != module[unit] else "-", **style)
    last = x[path.units[-1]]
    pen.arrow((last, y), (last - HALF - 0.1, y), colour, 2)
    for unit, weight in zip(path.units, path.weights, strict=True):
        face = colour if weight else "white"  # an error of weight 0 passes, and the unit learns nothing from it
        pen.axes.plot([x[unit]], [y], "o", color=colour, markerfacecolor=face, markersize=5 * pen.scale, zorder=3)
        if weight not in (0, 1):
            pen.text(x[unit] - 0.09, y + 0.06, f"×{weight:.4g}", size=SMALL, ha="right", va="bottom")


def _draw_weights(pen: Pen, layout: Layout) -> None:
    """The weights of the first unit of each module but the lowest, into what stands below the loss to its left."""
    for k, top in enumerate(layout.tops[:-1]):
        first = layout.x[layout.module.index(k + 1)]
        pen.arrow((first, HALF), (top + 0.27, LOSS - 0.08), _colour(k + 1), linestyle=":")


def _draw_caption(axes: Axes, layout: Layout) -> None:
    style: dict[str, Any] = {"color": "#777777", "size": 8, "va": "top", "textcoords": "offset points"}
    below = (layout.x[0] - 0.47, min(layout.rows.values()))
    text = axes.annotate("\n".join(layout.caption), below, (0, -12), **style)
    text.set_in_layout(False)  # otherwise a long caption would shrink the drawing


@dataclass(frozen=True)
class Pen:
    """Strokes and letters at the scale of the diagram, so that they shrink with a large network."""

    axes: Axes
    scale: float

    def arrow(
        self, start: tuple[float, float], end: tuple[float, float], colour: str = INK, width: float = 1.2, **more: Any
    ) -> None:
        """An arrow from start to end."""
        style = {"arrowstyle": "-|>", "color": colour, "linewidth": width * self.scale, "shrinkA": 0, "shrinkB": 0}
        self.axes.annotate("", end, start, arrowprops=style | {"mutation_scale": 10 * self.scale} | more, zorder=2)

    def box(self, left: float, right: float, half: float, colour: str, **style: Any) -> None:
        """A box with round corners from left to right, and from -half to half."""
        shape = f"round,pad=0,rounding_size={0.3 * half}"
        patch = FancyBboxPatch((left, -half), right - left, 2 * half, boxstyle=shape, facecolor=colour, **style)
        self.axes.add_patch(patch)

    def text(self, x: float, y: float, words: str, color: str = INK, size: float = 10, **alignment: Any) -> None:
        """Words at (x, y), centred by default; none where they would be smaller than 4 points."""
        if size * self.scale < 4:
            return
        alignment = {"ha": "center", "va": "center"} | alignment
        self.axes.text(x, y, words, color=color, size=size * self.scale, zorder=4, **alignment)
