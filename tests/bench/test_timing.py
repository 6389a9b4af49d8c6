"""Rounds, ratios and clocks: which work is timed when, and what is computed from the seconds."""

from __future__ import annotations

import numpy as np
import pytest

from minilocal.bench import timing


def timers(log, **seconds):
    def one(name):
        def timer():
            log.append(name)
            return seconds[name]

        return timer

    return {name: one(name) for name in seconds}


def test_every_round_begins_with_another_workload():
    log: list[str] = []
    times = timing.rounds(timers(log, a=1.0, b=2.0, c=3.0), 4)
    assert "".join(log) == "abc" + "bca" + "cab" + "abc"
    assert times.seconds == {"a": [1.0] * 4, "b": [2.0] * 4, "c": [3.0] * 4} and not times.failed


def test_one_that_fails_is_out_and_the_others_go_on():
    def broken():
        raise RuntimeError("no memory")

    log: list[str] = []
    times = timing.rounds({"x": broken, **timers(log, a=1.0, b=2.0)}, 3)
    assert times.failed == {"x": "no memory"} and times.seconds == {"a": [1.0] * 3, "b": [2.0] * 3}


def test_an_error_that_is_no_failure_of_a_workload_is_raised():
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        timing.rounds({"x": broken}, 1)


def test_when_the_time_is_over_one_round_has_been_made():
    calls = []
    times = timing.rounds(timers([], a=1.0, b=2.0), 100, budget=0.0, on_progress=lambda: calls.append(1))
    assert times.seconds == {"a": [1.0], "b": [2.0]} and len(calls) == 2


def test_medians_quartiles_and_ratios_are_those_of_the_rounds():
    values = [5.0, 1.0, 2.0, 4.0, 3.0]
    low, median, high = np.percentile(values, [25, 50, 75])
    assert timing.quartiles(values) == {"median": median, "low": low, "high": high}
    assert timing.quartiles([2.0]) == {"median": 2.0, "low": 2.0, "high": 2.0}
    a, b = [1.0, 10.0, 100.0], [2.0, 10.0, 50.0]  # the machine slowed down: medians of each would say 1
    assert timing.ratio(a, b)["median"] == 1.0 and timing.ratio(a, b)["low"] == 0.75
    with pytest.raises(ValueError):
        timing.ratio([1.0], [1.0, 2.0])


def test_enough_runs_fill_the_time():
    assert timing.enough(0.01, 0.1) == 10 and timing.enough(5.0, 0.1) == 1 and timing.enough(0.0, 0.1) == 1000


def test_the_hosts_clock_counts_one_run_of_several():
    done = []
    seconds = timing.HostClock().seconds(lambda: done.append(1), 5)
    assert len(done) == 5 and seconds >= 0


def test_a_devices_clock_reads_events_around_all_runs():
    log: list[str] = []

    class Event:
        def record(self):
            log.append("record")

        def synchronize(self):
            log.append("wait")

    clock = timing.DeviceClock(Event, lambda first, last: 12.0)
    assert clock.seconds(lambda: log.append("run"), 3) == pytest.approx(0.004)  # 12 ms, three runs
    assert log == ["record", "run", "run", "run", "record", "wait"]


def test_numpy_is_timed_by_the_host_and_a_device_by_its_events():
    class Library:
        class cuda:
            Event = object
            get_elapsed_time = staticmethod(lambda a, b: 0.0)

    assert isinstance(timing.clock_of(np), timing.HostClock)
    assert isinstance(timing.clock_of(Library), timing.DeviceClock)
