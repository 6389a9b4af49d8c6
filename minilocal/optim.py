"""Optimisers, as frozen recipes, and learning rates over the epochs.

A recipe holds no state: the Learner keeps, for each parameter, a dict that the recipe fills. An update is in place
and touches only the parameter that received the gradient; a parameter without a gradient neither decays nor moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any, ClassVar, Protocol

from minilocal import kernels
from minilocal.array import Array, namespace
from minilocal.errors import UserError, unknown

State = dict[str, Any]  # arrays of the parameter's shape, and counters
Move = tuple[Array, Array, State]  # a parameter w, its gradient g, and what the recipe keeps of it


class Optimizer(Protocol):
    """What a Learner asks of a recipe; `recordable` where an update may be repeated as recorded, but for the rate."""

    def update(self, moves: Sequence[Move], lr: float | Array) -> None:
        """Moves each w in place by its g, which may be overwritten; each state is that parameter's own.

        `lr` is a number, or an array (1,) of w's type where w lives, so that it may change where a step is recorded.
        """


def _nonnegative(**numbers: float) -> None:
    for name, number in numbers.items():
        if not number >= 0:
            raise UserError(f"{name} = {number}: give 0 or more.")


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum.

        g ← g + λ w        v ← μ v + g   (v = g at first)
        plain  w ← w - η v        Nesterov  w ← w - η (g + μ v)

    λ is `weight_decay`, on every parameter, norms and biases too; no dampening.

    Raises: UserError for a negative number, and for Nesterov without momentum.
    """

    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    recordable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _nonnegative(momentum=self.momentum, weight_decay=self.weight_decay)
        if self.nesterov and self.momentum == 0:
            raise UserError("Nesterov's step looks ahead along the momentum: give momentum > 0, or nesterov=False.")

    def update(self, moves: Sequence[Move], lr: float | Array) -> None:
        if self.momentum:
            for w, _, state in moves:
                if "v" not in state:
                    state["v"] = namespace(w).zeros_like(w)
        moved = [(w, g, state.get("v")) for w, g, state in moves]
        kernels.sgd(moved, lr, self.momentum, self.weight_decay, self.nesterov)


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba, "Adam", with decay added to the gradient.

        g ← g + λ w    m ← β₁ m + (1-β₁) g    s ← β₂ s + (1-β₂) g²
        w ← w - η (m / (1-β₁ᵗ)) / (√(s / (1-β₂ᵗ)) + ε),   t counting this parameter's own updates

    Raises: UserError for a negative number or a β outside [0, 1).
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        _nonnegative(eps=self.eps, weight_decay=self.weight_decay)
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1):
            raise UserError(f"Adam's β are ({self.beta1}, {self.beta2}): both lie in [0, 1).")

    def update(self, moves: Sequence[Move], lr: float | Array) -> None:
        for w, g, state in moves:
            self._move(w, g, state, lr)

    def _move(self, w: Array, g: Array, state: State, lr: float | Array) -> None:
        if self.weight_decay:
            g += self.weight_decay * w
        if not state:
            zeros = namespace(w).zeros_like
            state.update(m=zeros(g), s=zeros(g), t=0)
        m, s = state["m"], state["s"]
        state["t"] = t = state["t"] + 1
        m *= self.beta1
        m += (1 - self.beta1) * g
        s *= self.beta2
        s += (1 - self.beta2) * (g * g)
        root = namespace(w).sqrt(s * (1 / (1 - self.beta2**t)))
        w -= (lr / (1 - self.beta1**t)) * m / (root + self.eps)


@dataclass(frozen=True)
class Schedule:
    """A learning rate for every epoch: `lr(epoch)`, epochs counted from 0."""

    name: str
    at: Callable[[int], float]

    def lr(self, epoch: int) -> float:
        return float(self.at(epoch))


def constant(lr: float) -> Schedule:
    """The same in every epoch."""
    return Schedule("constant", lambda epoch: lr)


def steps(lr: float, milestones: tuple[int, ...], factor: float = 0.1) -> Schedule:
    """Times `factor` from each milestone on: with (150, 225), epochs 150 and 225 are the first at a lower rate."""
    return Schedule("steps", lambda epoch: lr * factor ** sum(epoch >= m for m in milestones))


def cosine(lr: float, epochs: int) -> Schedule:
    """η₀/2 (1 + cos(π e/E)), e = 0 ... E-1: from η₀ to just above 0."""
    return Schedule("cosine", lambda epoch: 0.5 * lr * (1 + cos(pi * epoch / epochs)))


def warmup(after: Schedule, epochs: int) -> Schedule:
    """Linear over the first `epochs` epochs up to what `after` says, then `after`."""
    return Schedule(f"warmup+{after.name}", lambda epoch: after.lr(epoch) * min(1.0, (epoch + 1) / epochs))


def infopro(lr: float, epochs: int) -> Schedule:
    """InfoPro's, e = 1 ... E:  c = η₀/2 (1 + cos(π e/E));  η = c for e > 10, else c (e-1)/10 + 0.01 (11-e)/10.

    In the very last epoch it is exactly 0, as in that code.
    """

    def at(epoch: int) -> float:
        e = epoch + 1
        c = 0.5 * lr * (1 + cos(pi * e / epochs))
        return c if e > 10 else c * (e - 1) / 10 + 0.01 * (11 - e) / 10

    return Schedule("infopro", at)


SCHEDULES = ("constant", "cosine", "steps", "infopro")


def schedule(text: str, lr: float, epochs: int) -> Schedule:
    """A schedule as flags spell it: `constant`, `cosine`, `infopro`, `steps` (÷10 at a half and three quarters of the
    epochs), `steps:150,225` or `steps:15,30:0.2` (milestones and factor), each after an optional `warmup:5+`.

    Raises: UserError for anything else.
    """
    head, plus, rest = text.partition("+")
    if plus:
        name, _, length = head.partition(":")
        if name != "warmup" or not length.isdigit() or int(length) < 1:
            raise UserError(f"schedule {text!r}: before '+' stands warmup:N, N epochs.")
        return warmup(schedule(rest, lr, epochs), int(length))
    name, *details = text.split(":")
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    if name == "steps":
        try:
            milestones = tuple(int(m) for m in details[0].split(",")) if details else (epochs // 2, epochs * 3 // 4)
            return steps(lr, milestones, *(float(f) for f in details[1:]))
        except (ValueError, TypeError):
            raise UserError(f"schedule {text!r}: write steps:EPOCH,EPOCH or steps:EPOCH,EPOCH:FACTOR.") from None
    if details:
        raise UserError(f"schedule {text!r}: {name} takes no details.")
    return {
        "constant": lambda: constant(lr),
        "cosine": lambda: cosine(lr, epochs),
        "infopro": lambda: infopro(lr, epochs),
    }[name]()
