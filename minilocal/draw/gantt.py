"""Gantt charts: what each device does, over time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import Any

from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from minilocal.draw.style import CYCLE, INK, Figure, look
from minilocal.errors import UserError

PATTERNS = {"forward": "", "objective": "||||", "backward": "////", "update": "xx", "message": ""}  # told apart in grey
HEIGHT = 0.72  # of a bar, in rows
THIN = 0.001  # of the width: narrower bars are left out
LEGIBLE = 0.035  # of the width: from there on a bar has its batch's number in it

Bar = tuple[int, float, float, str, int, int]  # device, start, seconds, kind, module, batch


def gantt(
    bars: Iterable[Bar], devices: Sequence[str], *, until: float, title: str = "", along: str | None = None
) -> Figure:
    """A row for each device, top down, with a bar for each piece of work from 0 to `until` seconds.

    `along` names what is counted in place of seconds, as "iteration".

    A colour is a batch, and its number stands in the bar; a pattern is a kind of work. A message is a thin black bar.
    Bars of one kind, module and batch that follow each other are one, and those narrower than a pixel are left out.

    Raises: UserError for no bars in that time.
    """
    shown = [bar for bar in _joined(bars) if bar[1] < until and bar[1] + bar[2] > 0 and bar[2] >= THIN * until]
    if not shown:
        raise UserError("gantt: there is no work to draw: give one or more.")
    scale, unit = (1.0, "s") if until >= 1 or along else (1e3, "ms")
    batches = sorted({batch for *_, batch in shown if batch >= 0})
    colour_of = dict(zip(batches, islice(cycle(CYCLE), len(batches)), strict=True))
    with look():
        figure = Figure(figsize=(7.6, 1.5 + 0.42 * len(devices)))
        axes = figure.add_subplot(xlabel=along or f"time ({unit})", title=title)
        for device, start, seconds, kind, _, batch in shown:
            first, last = max(0.0, start), min(until, start + seconds)
            left, width = first * scale, (last - first) * scale
            if kind == "message":
                axes.barh(device, width, left=left, height=0.2 * HEIGHT, color="black", zorder=3)
                continue
            colour = colour_of[batch]
            axes.barh(
                device, width, left=left, height=HEIGHT, facecolor=colour, edgecolor="white", linewidth=0.4,
                hatch=PATTERNS[kind],
            )  # fmt: skip
            if last - first > LEGIBLE * until and kind in ("forward", "backward"):
                box = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
                axes.text(left + width / 2, device, str(batch), ha="center", va="center", size=7, color=INK, bbox=box)
        axes.set_yticks(range(len(devices)), list(devices))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", visible=False)
        axes.invert_yaxis()
        axes.set_xlim(0, until * scale)
        if along:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        kinds = [kind for kind in PATTERNS if any(bar[3] == kind for bar in shown)]
        handles = [
            Patch(facecolor="black" if kind == "message" else "#bbbbbb", edgecolor="white", hatch=PATTERNS[kind])
            for kind in kinds
        ]
        place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 4}
        axes.legend(handles, kinds, ncols=len(kinds), handleheight=1.2, **place)  # 4 lines below the axis
    row, unit = ("row", f"{along}{'s' * (until != 1)}") if along else ("device", unit)
    works = "; ".join(f"{name} {_share(shown, number, until):.0%}" for number, name in enumerate(devices))
    figure.alt = (
        f"{title}{'. ' if title else ''}What each {row} does in {until * scale:.3g} {unit}, batches in colours. "
        f"Shares of that time in which they work: {works}."
    )
    return figure


def _joined(bars: Iterable[Bar]) -> list[Bar]:
    """The bars, with neighbours of one device, kind, module and batch as one."""
    joined: list[Bar] = []
    for bar in bars:
        device, start, seconds, *work = bar
        if joined:
            before, first, length, *same = joined[-1]
            if (before, same) == (device, work) and abs(first + length - start) <= 1e-9:
                joined[-1] = (device, first, length + seconds, bar[3], bar[4], bar[5])
                continue
        joined.append(bar)
    return joined


def _share(bars: Sequence[Bar], device: int, until: float) -> float:
    """The share of the time in which a device works."""
    work = [bar for bar in bars if bar[0] == device and bar[3] != "message"]
    return sum(min(until, bar[1] + bar[2]) - max(0.0, bar[1]) for bar in work) / until
