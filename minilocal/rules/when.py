"""When a module learns, and from which loss: always from its own, in some epochs from the last, or when it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilocal.errors import UserError, boolean, fraction, set_checked, unknown, whole

FIRST = ("forward", "backward")


@dataclass(frozen=True)
class When:
    """The same in every epoch, forward first."""

    engine = "synchronous"  # or "asynchronous": modules are drawn one by one, instead of all learning in every step
    first = "forward"  # what a module does first in an iteration

    def is_global(self, epoch: int) -> bool:
        """Do the main weights learn from the final loss in this epoch?"""
        return False

    @property
    def guided(self) -> bool:
        """Are there epochs in which they do?"""
        return type(self).is_global is not When.is_global

    def least_batches(self, modules: int) -> int:
        """The number of batches after which this order alone has let each of `modules` modules update."""
        return 2 if self.first == "backward" else 1  # the first iteration has no gradient before its forward

    def describe(self) -> str:
        """In a few words; nothing where every epoch is alike."""
        return ""


@dataclass(frozen=True)
class Always(When):
    """The same in every epoch; with first="backward" a module updates before it forwards (rules with delays only).

    The second is the order of FDG's Algorithm I.

    Raises: UserError for any other order.
    """

    first: str = "forward"

    def __post_init__(self) -> None:
        if self.first not in FIRST:
            raise unknown("first", self.first, FIRST)

    def describe(self) -> str:
        return "it updates before it forwards" if self.first == "backward" else ""


@dataclass(frozen=True)
class Asynchronous(When):
    """One module at a time is drawn and learns; its input comes out of a buffer of the last `buffer` batches.

    Worker j has the probability p_j, the same for all but the slowed one, whose p is in proportion 1 - noise. So that
    every buffer holds something, the first 2K draws are 0, 0, 1, 1, 2, 2, ... Every worker drawn in a step learns with
    that step's learning rate; the drops by a worker's own count of epochs, as in the DGL code, are not offered.

    Raises: UserError for a buffer below 0, a noise outside [0, 1), a slowed worker without noise, noise for nobody.
    """

    buffer: int = 1
    slowed: int | None = None
    noise: float = 0.0

    engine = "asynchronous"

    def __post_init__(self) -> None:
        size = whole("buffer", self.buffer, 0, give="the batches that a buffer holds, 1 or more (0 is 1 too)")
        noise = fraction("noise =", self.noise, "[)", why="at 1 the slowed worker would never work")
        set_checked(self, buffer=size, noise=noise)
        if self.slowed is not None:
            worker = "the number of a worker, counted from 0, or leave it out"
            set_checked(self, slowed=whole("slowed", self.slowed, 0, give=worker))
        if (self.slowed is None) != (self.noise == 0):
            missing = "noise above 0" if self.noise == 0 else "the slowed worker's number"
            raise UserError(
                f"slowed = {self.slowed} with noise = {self.noise}: one means nothing without the other; give {missing}"
                ", or neither."
            )

    @property
    def entries(self) -> int:
        """Batches that a buffer holds: M, and 1 for M = 0, as in the DGL code."""
        return max(1, self.buffer)

    def least_batches(self, modules: int) -> int:
        return 1 if modules == 1 else 3  # a batch ends with a draw of worker 0: [0], [0], [1, 1, 2, 2, ..., 0]

    def draw(self, chance: np.random.Generator, drawn: int, workers: int) -> int:
        """The worker that follows `drawn` earlier draws."""
        if drawn < 2 * workers:
            return drawn // 2
        weights = [1 - self.noise if j == self.slowed else 1.0 for j in range(workers)]
        edges = np.cumsum(weights) / sum(weights)
        return min(int(np.searchsorted(edges, chance.random(), side="right")), workers - 1)

    def describe(self) -> str:
        slow = f", worker {self.slowed} {self.noise:.0%} less often" if self.slowed is not None else ""
        return f"it works when it is drawn{slow}, on one of the last {self.entries} batches of the module below"


@dataclass(frozen=True)
class Periodic(When):
    """Of every P epochs the last Q are global: then the main weights learn from the final loss (PGL).

    In a local epoch PGL's Equation (2) holds, in a global one its (3) and (4).

        includes       epoch (from 0) is global where  epoch mod P ≥ P - Q
        not            P local epochs, then Q global:  epoch mod (P + Q) ≥ P

    The paper's text bears both readings; its average memory fits the first only.

    Raises: UserError for a period below 1, a duration below 0, and one longer than the period that is to include it.
    """

    period: int = 10
    duration: int = 2
    includes: bool = True

    def __post_init__(self) -> None:
        for name, number, least in (("period", self.period, 1), ("duration", self.duration, 0)):
            epochs = whole(name, number, least, give=f"a whole number of epochs, {least} or more")
            set_checked(self, **{name: epochs})
        boolean("includes", self.includes)
        if self.includes and self.duration > self.period:
            raise UserError(
                f"duration {self.duration} is longer than the period {self.period} that includes it: give at most "
                f"{self.period}, or includes=False."
            )

    def is_global(self, epoch: int) -> bool:
        cycle = self.period if self.includes else self.period + self.duration
        return epoch % cycle >= cycle - self.duration  # PGL: Eq. (3), (4) here, Eq. (2) elsewhere

    def describe(self) -> str:
        cycle = self.period if self.includes else self.period + self.duration
        return f"in the last {self.duration} of every {cycle} epochs it learns from the last loss instead"


always, asynchronous, periodic = Always, Asynchronous, Periodic
