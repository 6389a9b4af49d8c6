"""Directions: steps as arrows, beside the gradient of the final loss, whose arrow is 1 long and points right."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.patches import Arc

from minilocal.draw.style import INK, Figure, colours, look
from minilocal.errors import UserError

FAINT = "#ececec"


def directions(steps: Mapping[str, tuple[float, float]], *, title: str = "") -> Figure:
    """An arrow for each name, from its σ of Eq. (9) and its norm ratio of Eq. (10), BackLink paper.

    Lengths are in ‖∇L‖. The arrow of a mean gradient E[g] has its part along ∇L to the right, which is σ, and all that
    is at right angles to ∇L upward. So it is as long as the norm ratio, and the cosine of its angle is σ / ratio. Where
    an arrow points into the grey half, the step against it raises L.

    >>> directions({"module 1": (0.6, 1.0)}).alt
    'Directions beside ∇L, which is 1 along and 0 across: module 1 0.60 along, 0.80 across.'

    Raises: UserError for no steps, and where |σ| is above the norm ratio or a number is not finite.
    """
    if not steps:
        raise UserError("directions: there is no step to draw: give one or more.")
    ends = {name: (sigma, _across(name, sigma, ratio)) for name, (sigma, ratio) in steps.items()}
    high = 1.12 * max(0.5, *(up for _, up in ends.values()))
    low = -0.12 * high
    right, left = (1.12 * max(1.0, *(x for x, _ in ends.values())), min(-0.25, *(1.2 * x for x, _ in ends.values())))
    with look():
        figure = Figure(figsize=(6.4, min(5.0, 1.2 + 5.4 * (high - low) / (right - left))))
        axes = figure.add_subplot(xlabel="σ: along ∇L, in ‖∇L‖", ylabel="across, in ‖∇L‖", title=title)
        axes.set_aspect("equal")
        axes.set(xlim=(left, right), ylim=(low, high))
        axes.axvspan(-100 * right, 0, color=FAINT, linewidth=0)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.add_patch(Arc((0, 0), 2, 2, theta1=-90, theta2=90, color=INK, linewidth=0.8, linestyle=":"))
        for name, end in {"∇L": (1.0, 0.0), **ends}.items():
            colour, width = (colours(steps)[name], 2.0) if name in steps else (INK, 4.5)
            axes.annotate("", end, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": width})
            axes.plot([], [], color=colour, linewidth=width, label=name)
        axes.text(0.02, 0.97, "uphill", transform=axes.transAxes, ha="left", va="top", color=INK)
        axes.autoscale(enable=False)
        axes.legend(loc="best")
    numbers = "; ".join(f"{name} {x:.2f} along, {y:.2f} across" for name, (x, y) in ends.items())
    figure.alt = f"{title}{'. ' if title else ''}Directions beside ∇L, which is 1 along and 0 across: {numbers}."
    return figure


def _across(name: str, sigma: float, ratio: float) -> float:
    """The length of the part at right angles to ∇L."""
    square = ratio**2 - sigma**2
    if not square >= -1e-9 * ratio**2 or square == float("inf"):
        raise UserError(
            f"directions: {name!r} has σ = {sigma:g} and the norm ratio {ratio:g}: give numbers with |σ| ≤ ratio."
        )
    return max(0.0, square) ** 0.5
