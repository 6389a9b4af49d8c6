"""Learning rates over the epochs of a run, counted from 0.

    constant                    η₀
    cosine                      η₀/2 (1 + cos(π e/E)), over the E epochs of the run
    infopro                     InfoPro's cosine, which warms up by itself
    steps                       η₀, a tenth of it from the half of the epochs on, a hundredth from three quarters on
    steps:150,225[:FACTOR]      times the factor, 0.1, from each of these epochs on
    warmup:N+...                over the first N epochs linearly up to what follows
    hold:N:RATE+...             RATE in each of the first N epochs, then what follows

What follows `warmup` or `hold` counts its epochs from the start of the run: in hold:3:0.01+steps:150 the rate drops
in epoch 150 of the run. Past the end of the run, the rate stays at the last epoch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import cos, inf, pi

from minilocal.errors import UserError, unknown

SCHEDULES = ("constant", "cosine", "steps", "infopro")
BEFORE = "warmup:N, or hold:N:RATE, N epochs"


@dataclass(frozen=True)
class Schedule:
    """A learning rate for every epoch: `lr(epoch)`, epochs counted from 0.

    `extends`: a longer run has the same rates in the epochs of this one, so this one may be trained further.
    `reaches`: the first epoch after all changes of the rate.
    """

    name: str
    at: Callable[[int], float]
    extends: bool = False
    reaches: int = 0

    def lr(self, epoch: int) -> float:
        """The learning rate in this epoch."""
        return float(self.at(epoch))

    def unreached(self, epochs: int) -> str:
        """A line for a run of `epochs` epochs that ends before all of the schedule has happened; else empty."""
        if self.reaches < epochs:
            return ""
        return f"schedule {self.name} changes as late as epoch {self.reaches + 1}, and this run ends after {epochs}."


def constant(lr: float) -> Schedule:
    """The same in every epoch."""
    return Schedule("constant", lambda epoch: lr, extends=True)


def steps(lr: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """Times `factor` from each milestone on: with (150, 225), epochs 150 and 225 are the first at a lower rate.

    Raises: UserError for milestones below 0 or not in increasing order, and a factor that is not above 0 and finite.
    """
    if any(m < 0 for m in milestones) or any(a >= b for a, b in pairwise(milestones)):
        named = ",".join(map(str, milestones))
        raise UserError(f"schedule steps:{named}: give epochs counted from 0, each later than the one before.")
    if not 0 < factor < inf:
        raise UserError(f"schedule steps: factor {factor} is not above 0 and finite, as 0.1 is.")
    return Schedule(
        "steps",
        lambda epoch: lr * factor ** sum(epoch >= m for m in milestones),
        extends=True,
        reaches=max(milestones, default=0),
    )


def cosine(lr: float, epochs: int) -> Schedule:
    """η₀/2 (1 + cos(π e/E)), e = 0 ... E-1: from η₀ to just above 0."""
    return Schedule("cosine", lambda epoch: 0.5 * lr * (1 + cos(pi * min(epoch, epochs - 1) / epochs)))


def infopro(lr: float, epochs: int) -> Schedule:
    """InfoPro's, e = 1 ... E:  c = η₀/2 (1 + cos(π e/E));  η = c for e > 10, else c (e-1)/10 + 0.01 (11-e)/10.

    In the very last epoch it is exactly 0, as in that code.
    """

    def at(epoch: int) -> float:
        e = min(epoch + 1, epochs)
        c = 0.5 * lr * (1 + cos(pi * e / epochs))
        return c if e > 10 else c * (e - 1) / 10 + 0.01 * (11 - e) / 10

    return Schedule("infopro", at, reaches=10)


def warmup(after: Schedule, epochs: int) -> Schedule:
    """Linear over the first `epochs` epochs up to the rate of `after`, then `after`."""
    return Schedule(
        f"warmup:{epochs}+{after.name}",
        lambda epoch: after.lr(epoch) * min(1.0, (epoch + 1) / epochs),
        after.extends,
        max(after.reaches, epochs - 1),
    )


def hold(after: Schedule, epochs: int, lr: float) -> Schedule:
    """`lr` in each of the first `epochs` epochs, then `after`, whose epochs count from the start of the run too.

    Raises: UserError for a rate that is not above 0 and finite.
    """
    if not 0 < lr < inf:
        raise UserError(f"schedule hold: rate {lr} is not above 0 and finite, as 0.01 is.")
    return Schedule(
        f"hold:{epochs}:{lr:g}+{after.name}",
        lambda epoch: lr if epoch < epochs else after.lr(epoch),
        after.extends,
        max(after.reaches, epochs),
    )


def schedule(text: str, lr: float, epochs: int) -> Schedule:
    """The schedule with this text, from the rate `lr` over a run of `epochs` epochs; this module lists them.

    Raises: UserError for anything else, a rate that is not above 0 and finite, and fewer than one epoch.
    """
    if not isinstance(text, str):
        raise UserError(f"schedule {text!r} is no text: give one, as 'cosine' or 'warmup:5+steps:60,80'.")
    if not 0 < lr < inf:
        raise UserError(f"learning rate {lr}: give a number above 0, as 0.1.")
    if epochs < 1:
        raise UserError(f"a schedule over {epochs} epochs: give 1 or more.")
    return replace(_spelt(text, lr, epochs), name=text)


def _spelt(text: str, lr: float, epochs: int) -> Schedule:
    first, plus, rest = text.partition("+")
    if not plus:
        return _named(text, lr, epochs)
    if "+" in rest:
        raise UserError(f"schedule {text!r}: a run begins with warmup or with hold, once.")
    after = _named(rest, lr, epochs)
    name, *details = first.split(":")
    if not details or not details[0].isdecimal() or int(details[0]) < 1:
        raise UserError(f"schedule {text!r}: before '+' stands {BEFORE}.")
    length = int(details[0])
    if name == "warmup" and len(details) == 1:
        return warmup(after, length)
    if name == "hold" and len(details) == 2:
        try:
            rate = float(details[1])
        except ValueError:
            raise UserError(f"schedule {text!r}: {details[1]!r} is no learning rate; write hold:N:RATE+...") from None
        return hold(after, length, rate)
    raise UserError(f"schedule {text!r}: before '+' stands {BEFORE}.")


def _named(text: str, lr: float, epochs: int) -> Schedule:
    """A schedule without what comes before it."""
    name, *details = text.split(":")
    if name in ("warmup", "hold"):
        raise UserError(f"schedule {text!r}: say what follows it, as in {text}+cosine.")
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if name == "steps":
        return _steps(text, details, lr, epochs)
    if details:
        raise UserError(f"schedule {text!r}: {name} takes no details.")
    return {
        "constant": lambda: constant(lr),
        "cosine": lambda: cosine(lr, epochs),
        "infopro": lambda: infopro(lr, epochs),
    }[name]()


def _steps(text: str, details: list[str], lr: float, epochs: int) -> Schedule:
    """`steps` alone drops at a half and three quarters of the epochs, but not in the first, and once in any."""
    if not details:
        halves = sorted({epochs // 2, epochs * 3 // 4} - {0})
        return Schedule("steps", steps(lr, halves).at)
    try:
        milestones = [int(m) for m in details[0].split(",")]
        factors = [float(f) for f in details[1:]]
    except ValueError:
        milestones, factors = [], [0.0, 0.0]
    if len(factors) > 1:
        raise UserError(f"schedule {text!r}: write steps:EPOCH,EPOCH or steps:EPOCH,EPOCH:FACTOR.")
    return steps(lr, milestones, *factors)
