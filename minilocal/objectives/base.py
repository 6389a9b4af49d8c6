"""Local objectives: a loss of a module's output, and the error at that output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from minilocal.array import Array
from minilocal.layers import Sequential
from minilocal.layers.base import Arrays, Need, PassContext, Shape
from minilocal.layers.initial import Initializer
from minilocal.losses import cross_entropy


class Batch(NamedTuple):
    """Images (N, H, W, C) as the network gets them, and labels (N,)."""

    x: Array
    y: Array


@dataclass(frozen=True)
class ModuleContext:
    """The module that an objective is built for: its place in the network, and its shapes."""

    module: int  # k, counted from 0
    modules: int  # K
    unit: int  # units below it, its own module's included
    units: int  # of the whole network
    shape: Shape  # of one h_k
    classes: int
    widest: int  # most channels in the network
    image: Shape  # of one x
    initial: Initializer


class Objective(Protocol):
    """A local objective with its own parameters. Like a layer, it is pure and commits nothing by itself."""

    parameters: dict[str, Array]
    buffers: dict[str, Array]

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        """(L_k as a 0-d float64 array, cache)."""

    def backward(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        """(e_k = ∂L_k/∂h_k, gradients of the objective's own parameters)."""

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        """Running statistics of its own batch norms."""

    def logits(self, h: Array, ctx: PassContext, p: Arrays | None = None) -> Array | None:
        """What the classifier in it makes of h_k, (N, classes); None where no classifier learns in it."""


class ObjectiveSpec:
    """The recipe of a local objective: `build` makes that of one module, when a Learner is built."""

    def build(self, context: ModuleContext) -> Objective | None:
        """The local objective of a module below the last; None where it has none.

        Raises: UserError where the objective is not defined for this module.
        """
        return None

    def last(self, head: Sequential, context: ModuleContext) -> Objective:
        """The last module's objective: the network's own head classifies."""
        return ClassifierLoss(head)

    def warnings(self, shapes: Sequence[Shape]) -> list[str]:
        """What a user should know where the modules below the last end with outputs of these shapes."""
        return []

    def describe(self) -> str:
        """In a few words."""
        return "nothing of its own"


@dataclass(frozen=True)
class NoObjective(ObjectiveSpec):
    """No local loss: a module learns from the errors that pass its boundary (BP)."""


class ClassifierLoss:
    """L_k = CE(A_k(h_k; γ_k), y): the labels, seen through an auxiliary network.

    The last module's classifier is the network's own head.
    """

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
