"""A program: what one device does, in the order in which its engine does it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from minilocal.parallel.simulate.costs import Costs, ModuleCosts
from minilocal.rules import Rule

FORWARD, BACKWARD, OBJECTIVE, UPDATE, MESSAGE = KINDS = ("forward", "backward", "objective", "update", "message")


class Work(NamedTuple):
    """A piece of work of `seconds`, one of KINDS, of a module and a batch."""

    kind: str
    seconds: float
    module: int
    batch: int


class Send(NamedTuple):
    """A message of `nbytes` to another device."""

    device: int
    nbytes: int


class Receive(NamedTuple):
    """Waits for the next message of another device."""

    device: int
    nbytes: int


class SendReceive(NamedTuple):
    """A message of `nbytes` to another device, and one of the same length from there, at the same time."""

    device: int
    nbytes: int


class Hold(NamedTuple):
    """From here on the device holds so many bytes more; fewer where the number is negative."""

    nbytes: int


class EndOfStep(NamedTuple):
    """A step has ended on this device."""


Op = Work | Send | Receive | SendReceive | Hold | EndOfStep


@dataclass(frozen=True)
class Placement:
    """A rule, its modules' costs, and the modules that each device owns: neighbours, bottom to top.

    `is_global` is the phase, as `rule.when.is_global(epoch)` tells it. `state` is the optimiser's bytes for each byte
    of parameters: 1 for momentum, 2 for Adam.
    """

    rule: Rule
    modules: Costs
    owned: Sequence[range] = field(default_factory=tuple)
    is_global: bool = False
    state: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "owned", tuple(self.owned) or tuple(range(k, k + 1) for k in range(len(self.modules))))

    @property
    def last(self) -> int:
        """The number of the last module."""
        return len(self.modules) - 1

    def own(self, device: int) -> list[tuple[int, ModuleCosts]]:
        """(number, costs) of the modules of one device."""
        return [(k, self.modules[k]) for k in self.owned[device]]

    def device_of(self, module: int) -> int:
        """The device that owns a module."""
        return next(device for device, own in enumerate(self.owned) if module in own)


class DeviceProgram(ABC):
    """What one device of a placement does. `first` and `top` are the lowest and the topmost of its modules."""

    def __init__(self, place: Placement, device: int) -> None:
        self.place, self.device = place, device
        self.first, self.top = place.owned[device].start, place.owned[device].stop - 1

    @abstractmethod
    def step(self, t: int) -> Iterator[Op]:
        """The operations of step t. Steps are asked for in order."""

    @property
    def parameters(self) -> int:
        """Bytes of the parameters that it holds."""
        return sum(part.parameters for _, module in self.place.own(self.device) for part in module.parts)

    @property
    def static(self) -> int:
        """Bytes that it holds all the time: of parameters, and of the optimiser's state."""
        return round(self.parameters * (1 + self.place.state))
