"""Figures: curves, bars, segments, timelines, Gantt charts, heat maps, directions, images. All that uses matplotlib."""

from __future__ import annotations

from minilocal.draw.bars import bars
from minilocal.draw.curves import curves
from minilocal.draw.directions import directions
from minilocal.draw.frames import Frame
from minilocal.draw.gantt import gantt
from minilocal.draw.heat import heat
from minilocal.draw.images import images
from minilocal.draw.network import network
from minilocal.draw.rule_diagram import rule_picture
from minilocal.draw.scatter import scatter
from minilocal.draw.segments import segments
from minilocal.draw.step_through import StepThrough, step_through
from minilocal.draw.style import COLOURS, Figure, colours, legend_below, palette, to_png, to_svg
from minilocal.draw.timeline import timeline
from minilocal.draw.windows import windows

__all__ = [
    "COLOURS",
    "Figure",
    "Frame",
    "StepThrough",
    "bars",
    "colours",
    "curves",
    "directions",
    "gantt",
    "heat",
    "images",
    "legend_below",
    "network",
    "palette",
    "rule_picture",
    "scatter",
    "segments",
    "step_through",
    "timeline",
    "to_png",
    "to_svg",
    "windows",
]


def __dir__() -> list[str]:
    return sorted(__all__)
