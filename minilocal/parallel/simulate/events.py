"""The discrete-event simulation: programs of several devices run against each other, joined by links.

A device does one thing at a time, in the order of its program. A message of n bytes takes latency + n / bandwidth on
its link, which carries one at a time in each direction. Three ways in which a sender may wait:

    short messages             never: up to `eager` bytes are stored on the way
    long ones, ahead = 0       until the receiver is there, and for the transfer: MPI's rendezvous, blocking
    long ones, ahead = n       until at most n - 1 of them have not been received: a link with n buffers
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from minilocal.errors import real, set_checked, whole
from minilocal.parallel.simulate.program import MESSAGE, EndOfStep, Hold, Op, Receive, Send, SendReceive, Work


@dataclass(frozen=True)
class Link:
    """The links between neighbouring devices: seconds of latency, bytes a second, and how a sender waits.

    By default they are those of two MPI ranks on one machine, where 8 MB take 3 ms.

    Raises: UserError for a latency below 0, a bandwidth that is not above 0, and buffers below 0.
    """

    latency: float = 20e-6
    bandwidth: float = 2.7e9
    ahead: int = 0
    eager: int = 64 * 1024

    def __post_init__(self) -> None:
        set_checked(
            self,
            latency=real("latency", self.latency, 0, inf, "[)", why="seconds, 0 or more"),
            bandwidth=real("bandwidth", self.bandwidth, 0, inf, "(]", why="bytes a second, above 0"),
            ahead=whole("ahead", self.ahead, 0, give="the messages that wait in a link, 0 or more"),
            eager=whole("eager", self.eager, 0, give="the bytes of a message that waits for no receiver, 0 or more"),
        )

    def seconds(self, nbytes: int) -> float:
        """Seconds of a message of so many bytes."""
        return self.latency + nbytes / self.bandwidth


class Bar(NamedTuple):
    """What a device did from `start` for `seconds`: one of KINDS, of a module and a batch; -1 for a message."""

    device: int
    start: float
    seconds: float
    kind: str
    module: int
    batch: int


@dataclass
class Device:
    """One device while its program runs: its clock, and what it has recorded."""

    number: int
    program: Iterator[Op]
    clock: float = 0.0
    held: int = 0
    most_held: int = 0
    sent: int = 0
    waits_for: int = 0  # messages and receives that it has posted
    bars: list[Bar] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)  # of each step
    sent_by: list[int] = field(default_factory=list)  # bytes sent until the end of each step

    def work(self, work: Work) -> None:
        """Do a piece of work."""
        if work.seconds > 0:
            self.bars.append(Bar(self.number, self.clock, work.seconds, work.kind, work.module, work.batch))
        self.clock += work.seconds

    def message(self, start: float, end: float) -> None:
        """Record the time of a message; two at the same time, of an exchange, are one bar."""
        if self.bars:
            start = max(start, self.bars[-1].start + self.bars[-1].seconds)
        if end > start:
            self.bars.append(Bar(self.number, start, end - start, MESSAGE, -1, -1))


@dataclass
class Posted:
    """A message or a receive that has been posted: by whom, when, and the clock at which that device goes on."""

    device: Device
    since: float
    nbytes: int
    until: float | None = None


class Channel:
    """One direction of a link: messages in order."""

    def __init__(self, link: Link) -> None:
        self.link, self.free = link, 0.0  # from when on it can carry another message
        self.sends: deque[Posted] = deque()
        self.receives: deque[Posted] = deque()
        self.accepted = 0  # long messages that have been accepted
        self.received: list[float] = []  # when each of them was received

    def progress(self) -> list[Posted]:
        """Accept and deliver all that can be; the posted ones whose devices go on."""
        done: list[Posted] = []
        while True:
            before = len(done)
            done += self._accept()
            if self.sends and self.receives and (self.sends[0].until is not None or self.link.ahead == 0):
                done += self._deliver(self.sends.popleft(), self.receives.popleft())
            if len(done) == before:
                return done

    def _accept(self) -> list[Posted]:
        """The messages that the link stores now, so that their senders go on."""
        done: list[Posted] = []
        for message in self.sends:
            if message.until is not None:
                continue
            if message.nbytes <= self.link.eager:
                message.until = message.since
            elif self.link.ahead == 0:
                break
            else:
                before = self.accepted - self.link.ahead  # the message whose buffer this one gets
                if before >= len(self.received):
                    break
                message.until = max(message.since, self.received[before]) if before >= 0 else message.since
                self.accepted += 1
            done.append(message)
        return done

    def _deliver(self, message: Posted, wanted: Posted) -> list[Posted]:
        """The transfer of a message to its receiver; the posted ones that end with it."""
        stored = message.until is not None
        start = max(self.free, message.since if message.until is None else message.until)
        if not stored:
            start = max(start, wanted.since)
        seconds = self.link.seconds(message.nbytes)
        self.free = start + message.nbytes / self.link.bandwidth
        wanted.until = max(wanted.since, start + seconds)
        wanted.device.message(max(wanted.since, wanted.until - seconds), wanted.until)
        if stored:
            if message.nbytes > self.link.eager:
                self.received.append(wanted.until)
            return [wanted]
        message.until = wanted.until
        message.device.message(start, message.until)
        return [message, wanted]


def simulate_events(programs: Sequence[Iterator[Op]], link: Link) -> list[Device]:
    """The devices after their programs have ended.

    Raises: RuntimeError where they wait for each other for ever.
    """
    devices = [Device(number, program) for number, program in enumerate(programs)]
    channels: dict[tuple[int, int], Channel] = defaultdict(lambda: Channel(link))
    ready = deque(devices)
    while ready:
        for channel in _run(ready.popleft(), channels):
            for posted in channel.progress():
                device = posted.device
                assert posted.until is not None
                device.clock = max(device.clock, posted.until)
                device.waits_for -= 1
                if device.waits_for == 0:
                    ready.append(device)
    if waiting := [device.number for device in devices if device.waits_for]:
        raise RuntimeError(f"devices {waiting} wait for each other: their programs do not fit together")
    return devices


def _run(device: Device, channels: Mapping[tuple[int, int], Channel]) -> list[Channel]:
    """Run a device until it waits; the channels that it waits for, none at its program's end."""
    for op in device.program:
        if isinstance(op, Work):
            device.work(op)
        elif isinstance(op, Hold):
            device.held += op.nbytes
            device.most_held = max(device.most_held, device.held)
        elif isinstance(op, EndOfStep):
            device.ends.append(device.clock)
            device.sent_by.append(device.sent)
        else:
            return _post(device, op, channels)
    return []


def _post(
    device: Device, op: Send | Receive | SendReceive, channels: Mapping[tuple[int, int], Channel]
) -> list[Channel]:
    """Post a message, a receive, or one of each."""
    posted = []
    if not isinstance(op, Receive):
        device.sent += op.nbytes
        posted.append(channels[device.number, op.device])
        posted[-1].sends.append(Posted(device, device.clock, op.nbytes))
    if not isinstance(op, Send):
        posted.append(channels[op.device, device.number])
        posted[-1].receives.append(Posted(device, device.clock, op.nbytes))
    device.waits_for = len(posted)
    return posted
