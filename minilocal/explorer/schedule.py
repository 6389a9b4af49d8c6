"""A step on K devices, one module each: simulated from multiply-adds at a stated rate and stated links.

The schedule repeats after a step, so one step's bars draw any number of steps.
"""

from __future__ import annotations

from typing import Any

from minilocal.parallel.simulate import Bar, Placement, Schedule, simulate
from minilocal.parallel.simulate.program import FORWARD, KINDS
from minilocal.report.gantt import LINK, RATE

IMAGES = 512  # of a step
TICKS = 4000  # of a step, in which its bars are counted
LEAST = 2  # ticks: shorter bars are left out

__all__ = ["IMAGES", "KINDS", "LEAST", "LINK", "RATE", "TICKS", "schedule_of"]


def schedule_of(place: Placement, bp: float) -> dict[str, Any]:
    """The schedule of a placement; `bp` is the seconds of BP's step on one device.

    step    seconds from the end of a step to the end of the next one
    of_bp   the same in units of BP's
    idle    of each device, the share of a step in which it waits
    bars    of each device, [start, width, kind, batch, ...] of a step's bars one after another: ticks, a number in
            KINDS, and the batch counted from the oldest one in that step; -1 for a message

    Raises: RuntimeError where no two steps are alike.
    """
    devices = len(place.owned)
    for steps in (devices * factor + 4 for factor in (2, 8, 32)):
        schedule = simulate(place, LINK, steps=steps)
        start, period = _period(schedule, devices - 1)
        bars, after = (_ticks(schedule, at, period) for at in (start, start + period))
        if _alike(bars, after):
            break
    else:
        raise RuntimeError("the schedule does not repeat after a step")
    of_devices = [[bar for bar in bars if bar[0] == device] for device in range(devices)]
    return {
        "step": round(period, 6),
        "of_bp": round(period / bp, 4),
        "idle": [round(max(0.0, 1 - sum(bar[2] for bar in own) / TICKS), 3) for own in of_devices],
        "bars": [[n for _, *bar in own for n in bar if bar[1] >= LEAST] for own in of_devices],
    }


def _period(schedule: Schedule, last: int) -> tuple[float, float]:
    """(start, seconds) of a step: from one forward of the last device to the next one.

    It is one of the last steps in which all devices work: the first one is up to a step further for each device.
    """
    starts: dict[int, float] = {}
    for bar in schedule.bars:
        if bar.device == last and bar.kind == FORWARD:
            starts.setdefault(bar.batch, bar.start)
    one, other = sorted(starts.values())[-last - 5 : -last - 3]
    return one, other - one


def _ticks(schedule: Schedule, start: float, period: float) -> list[tuple[int, int, int, int, int]]:
    """(device, start, width, kind, batch) of the bars that begin in a step, batches from the oldest one in it."""
    tick = period / TICKS
    inside = [bar for bar in _joined(schedule.bars) if -tick / 2 <= bar.start - start < period - tick / 2]
    oldest = min(bar.batch for bar in inside if bar.batch >= 0)
    return [
        (
            bar.device, round((bar.start - start) / tick), round(bar.seconds / tick), KINDS.index(bar.kind),
            bar.batch - oldest if bar.batch >= 0 else -1,
        )
        for bar in inside
    ]  # fmt: skip


def _alike(bars: list[tuple[int, int, int, int, int]], others: list[tuple[int, int, int, int, int]]) -> bool:
    """Whether two steps are the same but for rounding."""
    pairs = zip(bars, others, strict=False)
    return len(bars) == len(others) and all(
        (a[0], *a[3:]) == (b[0], *b[3:]) and abs(a[1] - b[1]) <= 1 and abs(a[2] - b[2]) <= 1 for a, b in pairs
    )


def _joined(bars: tuple[Bar, ...]) -> list[Bar]:
    """The bars, with those of one device, kind and batch that follow each other as one."""
    joined: list[Bar] = []
    for bar in bars:
        last = joined[-1] if joined else None
        same = last and (last.device, last.kind, last.batch) == (bar.device, bar.kind, bar.batch)
        if last and same and abs(last.start + last.seconds - bar.start) <= 1e-9:
            joined[-1] = last._replace(seconds=last.seconds + bar.seconds)
        else:
            joined.append(bar)
    return joined
