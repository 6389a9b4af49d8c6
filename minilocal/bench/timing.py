"""Seconds of a piece of work on the host or on a device, and of several that take turns.

A machine's speed moves by half within minutes, so only timings next to each other in time can be compared. Several
pieces of work are therefore timed in rounds, each round beginning with another one, and compared round by round.
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
    """Seconds by the host's clock, for work that is done when it returns."""

    def seconds(self, work: Work, repeats: int = 1) -> float:
        """Mean seconds of `repeats` runs in a row."""
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - start) / repeats


class DeviceClock:
    """Seconds between two events on a device's stream, for work that is not done when the host returns.

    Where the host is too slow to keep the device busy, the device's pauses count too.
    """

    def __init__(self, event: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> None:
        self._event, self._elapsed = event, elapsed  # milliseconds from one event to another

    def seconds(self, work: Work, repeats: int = 1) -> float:
        """Mean seconds of `repeats` runs in a row."""
        first, last = self._event(), self._event()
        first.record()
        for _ in range(repeats):
            work()
        last.record()
        last.synchronize()
        return self._elapsed(first, last) / 1000 / repeats

    def host_seconds(self, work: Work, repeats: int = 1) -> float:
        """Mean seconds that the host takes to start a run, of `repeats` in a row, none of which it waits for.

        A device that lags a thousand launches behind makes the host wait: `repeats` should stay below that.
        """
        self._wait()
        seconds = HostClock().seconds(work, repeats)
        self._wait()
        return seconds

    def _wait(self) -> None:
        event = self._event()
        event.record()
        event.synchronize()


Clock = HostClock | DeviceClock


def clock_of(xp: Any) -> Clock:
    """The clock for arrays of this library: the host's for NumPy, events under `cuda` for others."""
    return HostClock() if xp is np else DeviceClock(xp.cuda.Event, xp.cuda.get_elapsed_time)


def torch_clock(torch: Any, device: str) -> Clock:
    """The clock for PyTorch's tensors on this device."""
    if device == "cpu":
        return HostClock()
    return DeviceClock(lambda: torch.cuda.Event(enable_timing=True), lambda first, last: first.elapsed_time(last))


@dataclass
class Times:
    """{name: seconds, round by round} of the work that ran, and {name: error} of the work that failed."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def rounds(
    timers: Mapping[str, Callable[[], float]],
    number: int,
    *,
    budget: float = math.inf,
    cooldown: float = 0.0,
    on_progress: Callable[[], None] = lambda: None,
) -> Times:
    """The times of `number` rounds, in each of which every timer is called once.

    A timer does its work and returns its seconds. One that raises RuntimeError takes no further part. There are fewer
    rounds when `budget` seconds are over, but at least one. `cooldown` seconds pass before each call, in which the
    threads of the call before go to sleep. `on_progress` is called after each.
    """
    start, times = time.perf_counter(), Times({name: [] for name in timers})
    for number_of_round in range(number):
        if number_of_round and time.perf_counter() - start > budget:
            break
        names = [name for name in timers if name not in times.failed]
        first = number_of_round % max(1, len(names))
        for name in names[first:] + names[:first]:
            time.sleep(cooldown)
            try:
                times.seconds[name].append(timers[name]())
            except RuntimeError as error:
                times.failed[name] = str(error)
                del times.seconds[name]
            on_progress()
    return times


def quartiles(values: list[float]) -> dict[str, float]:
    """Median, and lower and upper quartile ("low", "high")."""
    if len(values) < 2:
        return {"median": values[0], "low": values[0], "high": values[0]}
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "low": low, "high": high}


def ratio(numerators: list[float], denominators: list[float]) -> dict[str, float]:
    """Median and quartiles of the ratios round by round."""
    return quartiles([a / b for a, b in zip(numerators, denominators, strict=True)])


def enough(seconds: float, least: float) -> int:
    """The number of runs of `seconds` each that fill `least` seconds, from 1 to 1000."""
    return max(1, min(1000, math.ceil(least / max(seconds, 1e-9))))
