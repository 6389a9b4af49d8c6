"""The schedule of a rule on several devices: its first steps, and its steady state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from minilocal.errors import whole
from minilocal.parallel.simulate.asynchronous import AsynchronousDevice
from minilocal.parallel.simulate.delayed import DelayedDevice
from minilocal.parallel.simulate.events import Bar, Device, Link, simulate_events
from minilocal.parallel.simulate.interlocking import InterlockingDevice
from minilocal.parallel.simulate.program import MESSAGE, DeviceProgram, EndOfStep, Op, Placement
from minilocal.parallel.simulate.synchronous import SynchronousDevice

RANDOM_STEPS = 600  # steps over which random draws are averaged


@dataclass(frozen=True)
class Schedule:
    """A step in the steady state, on average.

    step       seconds from the end of a step to the end of the next one
    busy       of each device, the share of that time in which it works
    messages   of each device, the share in which a message is transferred to or from it
    nbytes     bytes that all devices send in a step
    memory     of each device, the most bytes of parameters, optimiser, kept activations and pending gradients
    bars       of all devices; 0 is the end of a step in the steady state, and earlier bars may reach into it
    """

    step: float
    busy: tuple[float, ...]
    messages: tuple[float, ...]
    nbytes: float
    memory: tuple[int, ...]
    bars: tuple[Bar, ...]

    @property
    def idle(self) -> tuple[float, ...]:
        """Of each device, the share of a step in which it waits."""
        return tuple(max(0.0, 1 - busy - moved) for busy, moved in zip(self.busy, self.messages, strict=True))

    def bars_until(self, end: float) -> list[Bar]:
        """The bars that begin before `end`, with batches counted from the oldest among them."""
        bars = [bar for bar in self.bars if bar.start < end]
        oldest = min(bar.batch for bar in bars if bar.batch >= 0)
        return [bar._replace(batch=bar.batch - oldest) if bar.batch >= 0 else bar for bar in bars]


def simulate(place: Placement, link: Link | None = None, *, steps: int | None = None) -> Schedule:
    """The schedule of a placement, after its pipeline has filled; averaged over `steps` steps.

    The rule's answers decide what each device does, as they choose its engine: `boundary.lags`, `when.engine`.
    """
    devices = [program_of(place, device) for device in range(len(place.owned))]
    delay = place.last * sum(place.rule.boundary.lags)
    fill = 2 * len(devices) + delay + 2  # steps until every device works in every step
    window = steps or (RANDOM_STEPS if place.rule.when.engine == "asynchronous" else 2 * len(devices) + 2)
    ran = simulate_events([_steps(device, fill + window) for device in devices], link or Link())
    return _steady(ran, [device.static for device in devices], fill, window)


def first_steps(place: Placement, link: Link | None = None, *, steps: int) -> tuple[Bar, ...]:
    """What the devices do in their first steps, from an empty pipeline at second 0 on.

    Raises: UserError for fewer than one step.
    """
    number = whole("steps", steps)
    programs = [_steps(program_of(place, device), number) for device in range(len(place.owned))]
    return tuple(bar for device in simulate_events(programs, link or Link()) for bar in device.bars)


def program_of(place: Placement, device: int) -> DeviceProgram:
    """The program of a device, by the engine that the rule's answers call for."""
    if place.rule.boundary.delayed:
        return DelayedDevice(place, device)
    if place.rule.when.engine == "asynchronous":
        return AsynchronousDevice(place, device)
    if not place.is_global and place.rule.boundary.one_loss:
        return InterlockingDevice(place, device)
    return SynchronousDevice(place, device)


def _steps(program: DeviceProgram, steps: int) -> Iterator[Op]:
    for t in range(steps):
        yield from program.step(t)
        yield EndOfStep()


def _steady(devices: list[Device], static: list[int], fill: int, window: int) -> Schedule:
    """What was recorded from the end of step `fill` - 1 on, for `window` steps."""
    first, last = fill - 1, fill + window - 1
    origin = max(d.ends[first] for d in devices)
    step = (max(d.ends[last] for d in devices) - origin) / window
    busy, messages, bars = [], [], []
    for device in devices:
        start, end = device.ends[first], device.ends[last]
        inside = [bar for bar in device.bars if start <= bar.start < end]
        moved = sum(bar.seconds for bar in inside if bar.kind == MESSAGE)
        busy.append((sum(bar.seconds for bar in inside) - moved) / window / step if step else 0.0)
        messages.append(moved / window / step if step else 0.0)
        bars += [bar._replace(start=bar.start - origin) for bar in device.bars if bar.start + bar.seconds > origin]
    sent = sum(d.sent_by[last] - d.sent_by[first] for d in devices) / window
    memory = tuple(held + device.most_held for held, device in zip(static, devices, strict=True))
    return Schedule(step, tuple(busy), tuple(messages), sent, memory, tuple(bars))
