"""The boundary of momentum auxiliary networks: the next module's first weights come down, averaged; no error does.

Su, Cai, Zhu, He, Xu, Guan and Si, "Momentum Auxiliary Network for Supervised Local Learning", ECCV 2024, and its code.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.boundaries.averaged_unit import BIASES, STARTS, Averages
from minilocal.boundaries.base import Boundary
from minilocal.errors import fraction, set_checked, unknown, whole


@dataclass(frozen=True)
class AveragedWeights(Boundary):
    """A module's objective sees h_k through an average of the next module's first unit, M, and a bias that learns.

    `momentum` is m of θ(M) ← m θ(M) + (1-m) θ(u), after the local loss and before any update of that step: 1 is a
    fixed head, 0 the unit's weights of the step before. `bias` is what is added to M(h_k): "unit", another unit like
    it that learns (the code), "channel", a number for each channel, or "none". `start` is what M and such a unit start
    from: "copy", the next unit's initial weights, or "random", weights of their own (the code).

    `every` is the number of steps from one crossing of the weights to the next: in steps 0, n, 2n, ... of an epoch,
    with mⁿ in place of m, as if the same weights had been averaged n times. In between M stands still.

    Raises: UserError for a momentum outside [0, 1], an unknown bias or start, and an `every` below 1.
    """

    momentum: float = 0.995
    bias: str = "unit"
    start: str = "copy"
    every: int = 1

    def __post_init__(self) -> None:
        ends = "1 is a head that stays as it is, 0 the next unit's last weights"
        set_checked(self, momentum=fraction("MAN momentum", self.momentum, why=ends))
        if self.bias not in BIASES:
            raise unknown("MAN's bias", self.bias, BIASES)
        if self.start not in STARTS:
            raise unknown("MAN's start", self.start, STARTS)
        set_checked(self, every=whole("MAN every", self.every, give="the steps between two crossings, 1 or more"))
        set_checked(self, averages=Averages(self.momentum, self.bias, self.start, self.every))

    def describe(self) -> str:
        often = "" if self.every == 1 else f", every {self.every} steps"
        return f"none; the weights of the next module's first unit, averaged (momentum {self.momentum:g}{often})"
