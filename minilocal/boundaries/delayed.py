"""Everything crosses, but late: each boundary holds errors, and perhaps activations, back for some iterations.

Huo, Gu, Yang and Huang, "Decoupled Parallel Backpropagation with Convergence Guarantee" (DDG): errors only.
Zhuang, Wang, Liu and Lin, "Fully Decoupled Neural Network Learning Using Delayed Gradients" (FDG): both.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.boundaries.base import Crossing, Recommended
from minilocal.errors import UserError, unknown

BACKWARD_WEIGHTS = ("stashed", "current", "recompute")
KEPT = {
    "stashed": "its caches, and a copy of its weights for each",
    "current": "its caches, but not the weights that made them",
    "recompute": "inputs only, recomputed with the weights of the day when an error comes",
}


@dataclass(frozen=True)
class Late(Crossing):
    """An error arrives `down` iterations after it was sent, times β; an activation `up` iterations after.

    So module k waits (K-k)(up + down) iterations for an error, and its weights have moved meanwhile: K-k in DDG, and
    2(K-k) in FDG, its Eq. (6). β acts at each boundary, β^{K-k} in all, FDG's Eq. (7). The backward uses, by
    `backward_weights`:

        stashed      the weights of the forward, of which a copy waits with the cache (the papers' equations)
        current      the weights of the day, with the activations of the forward (what both public codes do)
        recompute    the weights of the day, with activations made again from the input

    Raises: UserError for a β outside (0, 1], up below 0, down below 1, unknown backward weights.
    """

    up: int = 0
    down: int = 1
    beta: float = 1.0
    backward_weights: str = "stashed"

    onward = True
    supplies = True
    delayed = True
    recommends = Recommended("sgd", 0.03)  # at 0.1 an MLP in 4 modules diverges; at 0.03 it learns, as ResNet-20 does

    def __post_init__(self) -> None:
        if isinstance(self.up, bool) or not isinstance(self.up, int) or self.up < 0:
            raise UserError(f"up = {self.up!r}: give the iterations that an activation is late, 0 or more.")
        if isinstance(self.down, bool) or not isinstance(self.down, int) or self.down < 1:
            raise UserError(f"down = {self.down!r}: give the iterations, 1 or more; 0 is crosses=all(), boundary=open.")
        if isinstance(self.beta, bool) or not isinstance(self.beta, (int, float)) or not 0 < self.beta <= 1:
            raise UserError(f"beta {self.beta!r} is outside (0, 1]: 1 shrinks nothing, 0 would let no error through.")
        if self.backward_weights not in BACKWARD_WEIGHTS:
            raise unknown("backward_weights", self.backward_weights, BACKWARD_WEIGHTS)

    @property
    def kept(self) -> str:  # type: ignore[override]
        return KEPT[self.backward_weights]

    def reach(self, units: int) -> int:
        return units

    def least_batches(self, modules: int) -> int:
        return (modules - 1) * (self.up + self.down) + 1  # FDG, Eq. (6), for k = 1; DDG's K - 1

    def describe(self) -> str:
        late = f"{self.down} iteration{'s' * (self.down > 1)} late per boundary"
        upward = f" (and activations {self.up} late upward)" if self.up else ""
        return "the error of the last loss" + f", times {self.beta:g}" * (self.beta != 1) + f", {late}{upward}"
