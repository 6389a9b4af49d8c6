"""The legend of a figure's axes that have one."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.legend import Legend


def legend_of(axes: Axes) -> Legend:
    legend = axes.get_legend()
    assert legend is not None, "the axes have no legend"
    return legend
