"""Local objectives: a loss of a module's output, and the error at that output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from minilocal.array import Array
from minilocal.layers import Layer, Sequential
from minilocal.layers.base import Arrays, Need, PassContext, Shape
from minilocal.layers.initial import Initializer
from minilocal.losses import cross_entropy


class Batch(NamedTuple):
    """Normalised images (N, H, W, C), and labels (N,)."""

    x: Array
    y: Array


@dataclass(frozen=True)
class ModuleContext:
    """The module that an objective is built for: its position in the network, and its shapes."""

    module: int  # k, counted from 0
    modules: int  # K
    unit: int  # units up to this module's top
    units: int  # of the whole network
    shape: Shape  # of one h_k
    classes: int
    widest: int  # the most channels in the network
    image: Shape  # of one x
    initial: Initializer
    above: Sequence[tuple[Layer, Shape]] = ()  # the units above this module, and the shape of one output of each


class Objective(Protocol):
    """A local objective with its own parameters. Like a layer, it is a pure function of them and its input."""

    parameters: dict[str, Array]
    buffers: dict[str, Array]

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        """(L_k as a 0-d float64 array, cache)."""

    def backward(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        """(e_k = ∂L_k/∂h_k, gradients of the objective's own parameters)."""

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        """Update the running statistics of its own batch norms."""

    def logits(self, h: Array, ctx: PassContext, p: Arrays | None = None) -> Array | None:
        """The logits of its classifier for h_k, (N, classes); None where it trains no classifier."""


class ObjectiveSpec:
    """The recipe of a local objective: a Learner calls `build` for each module below the last."""

    is_local = True  # modules below the last have a loss of their own

    def build(self, context: ModuleContext) -> Objective | None:
        """The local objective of a module below the last; None where it has none.

        Raises: UserError where the objective is not defined for this module.
        """
        return None

    def last(self, head: Sequential, context: ModuleContext) -> Objective:
        """The last module's objective: by default the cross entropy of the network's own head."""
        return ClassifierLoss(head)

    def warnings(self, shapes: Sequence[Shape]) -> list[str]:
        """One line for each surprise where the modules below the last end with outputs of these shapes."""
        return []

    def describe(self) -> str:
        """A few words for reports."""
        return type(self).__name__


@dataclass(frozen=True)
class NoObjective(ObjectiveSpec):
    """No local loss: a module learns from the errors that pass its boundary (BP)."""

    is_local = False

    def describe(self) -> str:
        return "none"


class ClassifierLoss:
    """L_k = CE(A_k(h_k; γ_k), y): the cross entropy of an auxiliary network, or of the network's own head (A_K)."""

    def __init__(self, network: Sequential) -> None:
        self.network, self.parameters, self.buffers = network, network.parameters, network.buffers

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        z, caches = self.network.forward(h, ctx, p)
        loss, dz = cross_entropy(z, batch.y)  # PGL, Eq. (1)
        return loss, (caches, dz)

    def backward(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        caches, dz = cache
        return self.network.backward(dz, caches, p, need)

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        self.network.update_running_stats(cache[0], p)

    def logits(self, h: Array, ctx: PassContext, p: Arrays | None = None) -> Array | None:
        return self.network.forward(h, ctx, p)[0]
