"""Messages between two devices, event by event."""

from __future__ import annotations

from typing import Any

import pytest

from minilocal import UserError
from minilocal.parallel.simulate import Link
from minilocal.parallel.simulate.events import simulate_events
from minilocal.parallel.simulate.program import EndOfStep, Receive, Send, SendReceive, Work

SLOW: dict[str, Any] = {"latency": 1.0, "bandwidth": 10.0, "eager": 5}  # 100 bytes take 11 s


def ends(link: Link, *programs: list[Any]) -> list[list[float]]:
    """The clocks of each device at its marks."""
    return [device.ends for device in simulate_events([iter(program) for program in programs], link)]


def test_a_blocking_message_ends_for_both_when_it_has_been_transferred():
    lower = [Work("forward", 3.0, 0, 0), Send(1, 100), EndOfStep()]
    upper = [Work("forward", 5.0, 1, 0), Receive(0, 100), EndOfStep()]
    assert ends(Link(**SLOW), lower, upper) == [[16.0], [16.0]]


def test_a_short_message_waits_for_no_receiver():
    lower = [Send(1, 5), EndOfStep()]
    upper = [Work("forward", 5.0, 1, 0), Receive(0, 5), EndOfStep()]
    assert ends(Link(**SLOW), lower, upper) == [[0.0], [5.0]]
    assert ends(Link(**SLOW), lower, upper[1:]) == [[0.0], [1.5]]


def test_a_link_stores_as_many_messages_as_it_is_said_to():
    lower = [op for _ in range(4) for op in (Send(1, 100), EndOfStep())]
    upper = [op for _ in range(4) for op in (Work("forward", 20.0, 1, 0), Receive(0, 100), EndOfStep())]
    assert ends(Link(**SLOW, ahead=2), lower, upper) == [[0.0, 0.0, 20.0, 40.0], [20.0, 40.0, 60.0, 80.0]]


def test_messages_of_one_direction_follow_each_other_on_the_link():
    lower = [Send(1, 100), Send(1, 100), EndOfStep()]
    upper = [Receive(0, 100), EndOfStep(), Receive(0, 100), EndOfStep()]
    assert ends(Link(**SLOW, ahead=2), lower, upper) == [[0.0], [11.0, 21.0]]


def test_an_exchange_goes_both_ways_at_once_and_is_one_bar():
    programs: list[list[Any]] = [[Work("backward", 2.0, k, 0), SendReceive(1 - k, 100), EndOfStep()] for k in range(2)]
    devices = simulate_events([iter(program) for program in programs], Link(**SLOW))
    for device in devices:
        assert device.ends == [13.0] and device.sent == 100
        assert [(bar.kind, bar.start, bar.seconds) for bar in device.bars] == [
            ("backward", 0.0, 2.0),
            ("message", 2.0, 11.0),
        ]


def test_devices_that_wait_for_each_other_are_named():
    with pytest.raises(RuntimeError, match=r"devices \[0, 1\] wait for each other"):
        simulate_events([iter([Send(1, 100)]), iter([Send(0, 100)])], Link(**SLOW))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"latency": -1.0}, "latency -1.0 is outside"),
        ({"bandwidth": 0.0}, "bandwidth 0.0 is outside"),
        ({"ahead": -1}, "ahead = -1: give the messages"),
        ({"eager": 1.5}, "eager = 1.5: give the bytes"),
    ],
)
def test_a_link_that_cannot_be_is_refused(options, text):
    with pytest.raises(UserError, match=text):
        Link(**options)
