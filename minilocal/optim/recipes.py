"""Optimisers, as frozen recipes.

A recipe holds no state: the Learner keeps a dict for each parameter, which the recipe fills. An update is in place and
changes only parameters that received a gradient; the others get no decay and no momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Protocol, Self

from minilocal import ops
from minilocal.array import Array, namespace
from minilocal.errors import UserError, boolean, real, set_checked, unknown

State = dict[str, Any]  # arrays of the parameter's shape, and counters
Update = tuple[Array, Array, State]  # a parameter w, its gradient g, and its optimiser state


TINY = 1e-30  # the least ε: 0 / (0 + ε) is a number in float32 too


class Optimizer(Protocol):
    """The protocol of a recipe. `recordable` says that a recorded update may be replayed with another rate.

    A recipe may have `prepare(w, state)`, which makes the arrays of a parameter's state before its first update: on a
    device they then lie outside of what a step allocates and lets go.
    """

    def update(self, updates: Sequence[Update], lr: float | Array) -> None:
        """Update each w in place by its g, which may be overwritten. Each state belongs to that parameter.

        `lr` is a number, or an array (1,) of w's type on w's device, so that it can change in a recorded step.
        """


class Recipe:
    """The base of recipes: numbers are given by name, and each is checked.

    Raises: UserError for a number without a name. SGD(0.1) would read as a learning rate, which is `step`'s.
    """

    def __new__(cls, *unnamed: Any, **named: Any) -> Self:
        if unnamed and cls.__init__ in (SGD.__init__, Adam.__init__):  # a subclass may have other arguments
            first = next(iter(cls.__dataclass_fields__))  # type: ignore[attr-defined]
            raise UserError(
                f"{cls.__name__}({unnamed[0]!r}): the learning rate is given to step(lr=...), and everything else by "
                f"name, as in {cls.__name__}({first}=0.9)."
            )
        return super().__new__(cls)

    def _within(self, below: float, *names: str) -> None:
        for name in names:
            limits = "give 0 or more, and finite" if below == inf else f"give 0 or more, and below {below:g}"
            number = real(f"{type(self).__name__}: {name} =", getattr(self, name), 0, below, "[)", why=limits)
            set_checked(self, **{name: number})


@dataclass(frozen=True, kw_only=True)
class SGD(Recipe):
    """Stochastic gradient descent with momentum.

        g ← g + λ w        v ← μ v + g   (v = g at first)
        plain  w ← w - η v        Nesterov  w ← w - η (g + μ v)

    λ is `weight_decay`, on every parameter, norms and biases too; no dampening.

    Raises: UserError for a number without a name, a momentum outside [0, 1), a decay that is not 0 or more, and
    Nesterov without momentum.
    """

    momentum: float = 0.9
    weight_decay: float = 0.0
    nesterov: bool = False

    recordable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._within(1, "momentum")
        self._within(inf, "weight_decay")
        boolean("SGD: nesterov", self.nesterov)
        if self.nesterov and self.momentum == 0:
            raise UserError("Nesterov's step looks ahead along the momentum: give momentum > 0, or nesterov=False.")

    def prepare(self, w: Array, state: State) -> None:
        """Make v, of w's shape, 0: the first update is then the one that finds none."""
        if self.momentum and "v" not in state:
            state["v"] = namespace(w).zeros_like(w)

    def update(self, updates: Sequence[Update], lr: float | Array) -> None:
        for w, _, state in updates:
            self.prepare(w, state)
        moved = [(w, g, state.get("v")) for w, g, state in updates]
        ops.sgd(moved, lr, self.momentum, self.weight_decay, self.nesterov)


@dataclass(frozen=True, kw_only=True)
class Adam(Recipe):
    """Kingma and Ba, "Adam", with decay added to the gradient.

        g ← g + λ w    m ← β₁ m + (1-β₁) g    s ← β₂ s + (1-β₂) g²
        w ← w - η (m / (1-β₁ᵗ)) / (√(s / (1-β₂ᵗ)) + ε),   t counting this parameter's own updates

    Raises: UserError for a number without a name, a β outside [0, 1), a decay that is not 0 or more, and
    an ε below 1e-30, which float32 might take for 0.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self._within(1, "beta1", "beta2")
        self._within(inf, "eps", "weight_decay")
        if self.eps < TINY:
            raise UserError(f"Adam: eps = {self.eps!r}: give {TINY:g} or more, for a gradient of 0 is divided by it.")

    def update(self, updates: Sequence[Update], lr: float | Array) -> None:
        for w, _, state in updates:
            if not state:
                zeros = namespace(w).zeros_like
                state.update(m=zeros(w), s=zeros(w), t=0)
            state["t"] += 1
        moved = [(w, g, state["m"], state["s"], state["t"]) for w, g, state in updates]
        ops.adam(moved, lr, self.beta1, self.beta2, self.eps, self.weight_decay)


BY_NAME: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}


def get(name: str) -> Optimizer:
    """The optimiser of this name, "sgd" or "adam", with its usual numbers.

    Raises: UserError for another name.
    """
    if name not in BY_NAME:
        raise unknown("optimiser", name, BY_NAME)
    return BY_NAME[name]()
