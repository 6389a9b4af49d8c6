"""Delayed gradients: errors, and optionally activations, arrive some iterations later in the next module.

Huo, Gu, Yang and Huang, "Decoupled Parallel Backpropagation with Convergence Guarantee" (DDG): errors only.
Zhuang, Wang, Liu and Lin, "Fully Decoupled Neural Network Learning Using Delayed Gradients" (FDG): both.
"""

from __future__ import annotations

from dataclasses import dataclass

from minilocal.boundaries.base import Boundary, Recommended
from minilocal.errors import fraction, set_checked, unknown, whole

BACKWARD_WEIGHTS = ("stashed", "current", "recompute")


@dataclass(frozen=True)
class DelayedBoundary(Boundary):
    """Delayed gradients: per boundary, errors are `errors` iterations late and scaled by β, activations `activations`.

    `beta` is β. Module k waits (K-k)(activations + errors) iterations for an error: K-k in DDG, 2(K-k) in FDG, its
    Eq. (6). Meanwhile its weights are updated. β acts at each boundary, β^{K-k} in all, FDG's Eq. (7).
    `backward_weights` is the weights of the backward:

        stashed      those of the forward, of which a copy is kept with the caches (the papers' equations)
        current      the current weights, with the activations of the forward (what both public codes do)
        recompute    the current weights, with activations recomputed from the input

    Raises: UserError for a β outside (0, 1], activations below 0, errors below 1, unknown backward weights.
    """

    activations: int = 0
    errors: int = 1
    beta: float = 1.0
    backward_weights: str = "stashed"

    passes_on = True
    provides_error = True
    recommends = Recommended("sgd", 0.03)  # at 0.1 an MLP in 4 modules diverges; at 0.03 it learns, as ResNet-20 does

    def __post_init__(self) -> None:
        delay = "the iterations that they are delayed"
        set_checked(
            self,
            activations=whole("activations", self.activations, 0, give=f"{delay}, 0 or more"),
            errors=whole("errors", self.errors, 1, give=f"{delay}, 1 or more; 0 is boundary=open"),
            beta=fraction("beta", self.beta, "(]", why="1 shrinks nothing, 0 would let no error through"),
        )
        if self.backward_weights not in BACKWARD_WEIGHTS:
            raise unknown("backward_weights", self.backward_weights, BACKWARD_WEIGHTS)

    @property
    def lags(self) -> tuple[int, int]:
        return self.activations, self.errors

    def linked_units(self, units: int) -> int:
        return units

    def least_batches(self, modules: int) -> int:
        return (modules - 1) * sum(self.lags) + 1  # FDG, Eq. (6), for k = 1; DDG's K - 1

    def describe(self) -> str:
        delay = f"delayed by {self.errors} iteration{'s' * (self.errors > 1)} per boundary"
        activations = f" (activations by {self.activations})" * (self.activations > 0)
        return "the error of the last loss" + f", times {self.beta:g}" * (self.beta != 1) + f", {delay}{activations}"
