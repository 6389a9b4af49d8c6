"""When a module learns, and from which loss: always from its own, in some epochs from the last, or asynchronously."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from minilocal.errors import UserError, boolean, fraction, set_checked, unknown, whole

__all__ = ["FIRST", "Always", "Asynchronous", "Periodic", "When", "always", "asynchronous", "periodic"]

FIRST = ("forward", "backward")
MANY = 1000  # epochs over which a share is counted where no period gives it


def __dir__() -> list[str]:
    return sorted(__all__)


@dataclass(frozen=True)
class When:
    """The same in every epoch, forward first."""

    engine = "synchronous"  # every module learns in every step; "asynchronous": one module at a time, drawn at random
    first = "forward"  # what a module does first in an iteration

    def is_global(self, epoch: int) -> bool:
        """Whether the main weights learn from the final loss in this epoch."""
        return False

    @property
    def guided(self) -> bool:
        """Whether there are such global epochs."""
        return type(self).is_global is not When.is_global

    @property
    def global_share(self) -> float:
        """The share of global epochs among all, from 0 to 1; counted over a long training where no period gives it."""
        return sum(map(self.is_global, range(MANY))) / MANY if self.guided else 0.0

    def least_batches(self, modules: int) -> int:
        """The number of batches after which each of `modules` modules can have been updated, in this order."""
        return 2 if self.first == "backward" else 1  # the first iteration has no gradient before its forward

    def describe(self) -> str:
        """A few words; "" where every epoch is alike."""
        return ""


@dataclass(frozen=True)
class Always(When):
    """The same in every epoch. `first` is "forward" or "backward": then the update comes before the forward.

    "backward" is the order of FDG's Algorithm I, and for rules with delays only.

    Raises: UserError for any other order.
    """

    first: str = "forward"

    def __post_init__(self) -> None:
        if self.first not in FIRST:
            raise unknown("first", self.first, FIRST)

    def describe(self) -> str:
        return "updates come before forwards" if self.first == "backward" else ""


@dataclass(frozen=True)
class Asynchronous(When):
    """Asynchronous modules with replay buffers: each update is of one module, drawn at random (DGL, Algorithm 2).

    The module's input comes from a buffer of the last `buffer` batches of the module below. Worker j is drawn with
    probability p_j: equal for all, but for `slowed`, whose probability is 1 - noise times that of another. The first
    2K draws are 0, 0, 1, 1, 2, 2, ..., so that no buffer is empty. Every update in a step uses that step's learning
    rate; learning-rate drops by a worker's own count of epochs, as in the DGL code, are not offered.

    Raises: UserError for a buffer below 0, a noise outside [0, 1), and `slowed` or `noise` without the other.
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
        """The capacity of a buffer, in batches: M, and 1 for M = 0, as in the DGL code."""
        return max(1, self.buffer)

    def least_batches(self, modules: int) -> int:
        return 1 if modules == 1 else 3  # a batch ends with a draw of worker 0: [0], [0], [1, 1, 2, 2, ..., 0]

    def shares(self, workers: int) -> list[float]:
        """p_j of each worker, as a multiple of that of a worker which is not slowed."""
        return [1 - self.noise if j == self.slowed else 1.0 for j in range(workers)]

    def draw(self, rng: np.random.Generator, draws: int, workers: int) -> int:
        """The worker drawn after `draws` earlier draws."""
        if draws < 2 * workers:
            return draws // 2
        shares = self.shares(workers)
        edges = np.cumsum(shares) / sum(shares)
        return min(int(np.searchsorted(edges, rng.random(), side="right")), workers - 1)

    def describe(self) -> str:
        slow = f" (module {self.slowed} {self.noise:.0%} less often)" if self.slowed is not None else ""
        return f"modules are drawn at random{slow}, each to learn from one of the last {self.entries} batches below it"


@dataclass(frozen=True)
class Periodic(When):
    """Periodic global guidance: in the last Q of every P epochs the main weights learn from the final loss (PGL).

    Bhatti and Moon, "Locally Supervised Learning with Periodic Global Guidance". `period` is P and `duration` Q, in
    epochs; `includes` says whether the P epochs include those Q. A local epoch minimises PGL's Eq. (2), a
    global one its Eq. (3) and (4).

        included       epoch (from 0) is global where  epoch mod P ≥ P - Q
        not            P local epochs, then Q global:  epoch mod (P + Q) ≥ P

    The paper's text allows both readings; its average memory fits the first only.

    Raises: UserError for a period below 1, a duration below 0, and one longer than the period that includes it.
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

    @property
    def cycle(self) -> int:
        """The epochs after which all repeats: P, or P + Q where P does not include Q."""
        return self.period if self.includes else self.period + self.duration

    def is_global(self, epoch: int) -> bool:
        return epoch % self.cycle >= self.cycle - self.duration  # PGL: Eq. (3), (4) here, Eq. (2) elsewhere

    @property
    def global_share(self) -> float:
        """Q/P, or Q/(P + Q) where P does not include Q."""
        return self.duration / self.cycle

    def describe(self) -> str:
        return f"in the last {self.duration} of every {self.cycle} epochs the main weights learn from the last loss"


always, asynchronous, periodic = Always, Asynchronous, Periodic
