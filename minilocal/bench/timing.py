"""Seconds: of work on the host or on a device, and of contestants that take turns.

Only ratios of neighbours in time are evidence: a machine's speed moves by half within minutes. So contestants are
timed in rounds, one after the other, each round beginning with another one, and compared round by round.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Work = Callable[[], Any]


class HostClock:
    """Seconds by the host's clock, of work that is done when it returns."""

    def seconds(self, work: Work, number: int = 1) -> float:
        """Of one of `number` runs in a row."""
        began = time.perf_counter()
        for _ in range(number):
            work()
        return (time.perf_counter() - began) / number


class DeviceClock:
    """Seconds between two events on a device's stream: also where the host returns before the work is done.

    Where the host is too slow to keep the device busy, its pauses are counted, as they should be.
    """

    def __init__(self, event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> None:
        self._event, self._elapsed = event, elapsed  # milliseconds from one event to another

    def seconds(self, work: Work, number: int = 1) -> float:
        """Of one of `number` runs in a row."""
        first, last = self._event(), self._event()
        first.record()
        for _ in range(number):
            work()
        last.record()
        last.synchronize()
        return self._elapsed(first, last) / 1000 / number


Clock = HostClock | DeviceClock


def clock_of(xp: Any) -> Clock:
    """The clock for arrays of this library: NumPy's is the host's, others have events under `cuda`."""
    return HostClock() if xp is np else DeviceClock(xp.cuda.Event, xp.cuda.get_elapsed_time)


def torch_clock(torch: Any, device: str) -> Clock:
    """The clock for PyTorch's tensors on this device."""
    if device == "cpu":
        return HostClock()
    return DeviceClock(lambda: torch.cuda.Event(enable_timing=True), lambda first, last: first.elapsed_time(last))


@dataclass
class Times:
    """{contestant: its seconds, round by round}, and why the others have none."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def rounds(
    contestants: Mapping[str, Callable[[], float]],
    number: int,
    *,
    budget: float = math.inf,
    settle: float = 0.0,
    turn: Callable[[], None] = lambda: None,
) -> Times:
    """`number` rounds in which each contestant is timed once; fewer when `budget` seconds are over, at least one.

    A contestant is a function that does its work once and returns its seconds; one that raises RuntimeError is out.
    `settle` seconds pass before each, so that threads of the one before have gone to sleep; `turn` is called after.
    """
    began, result = time.perf_counter(), Times({name: [] for name in contestants})
    for now in range(number):
        if now and time.perf_counter() - began > budget:
            break
        names = [name for name in contestants if name not in result.failed]
        for name in names[now % max(1, len(names)) :] + names[: now % max(1, len(names))]:
            time.sleep(settle)
            try:
                result.seconds[name].append(contestants[name]())
            except RuntimeError as error:
                result.failed[name] = str(error)
                del result.seconds[name]
            turn()
    return result


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    if len(values) < 2:
        return {"median": values[0], "low": values[0], "high": values[0]}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def ratio(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median and quartiles of the ratios round by round."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])


def enough(seconds: float, least: float) -> int:
    """How many runs of so many seconds fill `least` seconds."""
    return max(1, min(1000, math.ceil(least / max(seconds, 1e-9))))
