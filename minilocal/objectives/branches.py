"""An objective of several branches: a weighted sum of losses, each behind a small network of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minilocal.array import Array, namespace
from minilocal.layers import Sequential
from minilocal.layers.base import Arrays, Need, PassContext, Shape
from minilocal.losses import cross_entropy
from minilocal.objectives.base import Batch

Loss = Callable[[Array, Batch], tuple[Array, Array]]  # (value, error) of a network's output for a batch


@dataclass(frozen=True)
class Labels:
    """The cross entropy with the labels."""

    def __call__(self, z: Array, batch: Batch) -> tuple[Array, Array]:
        return cross_entropy(z, batch.y)


@dataclass(frozen=True)
class Branch:
    """A network behind h_k, the loss of its output, and the weight of that loss."""

    network: Sequential
    loss: Loss
    weight: float


class Branches:
    """L_k = Σ_i w_i L_i(A_i(h_k))      e_k = Σ_i w_i ∂L_i/∂h_k      the gradients of A_i have the factor w_i too

    A branch of weight 0 is not computed; its gradients are 0.
    """

    def __init__(self, branches: Sequence[Branch]) -> None:
        self.branches = list(branches)
        self.parameters = {name: a for branch in branches for name, a in branch.network.parameters.items()}
        self.buffers = {name: a for branch in branches for name, a in branch.network.buffers.items()}

    @property
    def is_weighted(self) -> bool:
        """Whether a branch has a weight other than 0."""
        return any(branch.weight for branch in self.branches)

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        xp = namespace(h)
        total = xp.zeros((), xp.float64)
        branch_caches: list[Any] = []
        for branch in self.branches:
            if branch.weight == 0:
                branch_caches.append(None)
                continue
            z, caches = branch.network.forward(h, ctx, p)
            loss, dz = branch.loss(z, batch)
            total = total + branch.weight * loss
            branch_caches.append((caches, branch.weight * dz))
        return total, (h, branch_caches)

    def backward(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        h, branch_caches = cache
        error: Array | None = None
        grads: dict[str, Array] = {}
        for branch, branch_cache in zip(self.branches, branch_caches, strict=True):
            if branch_cache is None:
                grads |= {} if need == "input" else self._zeros(branch, p)
                continue
            caches, dz = branch_cache
            e, more = branch.network.backward(dz, caches, p, need)
            grads |= more
            error = e if error is None else error + e
        if error is None and need != "weights":
            error = namespace(h).zeros_like(h)
        return error, grads

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        for branch, branch_cache in zip(self.branches, cache[1], strict=True):
            if branch_cache is not None:
                branch.network.update_running_stats(branch_cache[0], p)

    def logits(self, h: Array, ctx: PassContext, p: Arrays | None = None) -> Array | None:
        """The logits of the branch with the labels' cross entropy; None where there is none, or its weight is 0."""
        for branch in self.branches:
            if isinstance(branch.loss, Labels) and branch.weight:
                return branch.network.forward(h, ctx, p)[0]
        return None

    def macs(self, shape: Shape) -> int:
        """The multiply-adds of a forward pass behind one h_k of this shape."""
        return sum(branch.network.macs(shape) for branch in self.branches if branch.weight)

    @staticmethod
    def _zeros(branch: Branch, p: Arrays | None) -> dict[str, Array]:
        own = branch.network.parameters
        arrays = own if p is None else {name: p[name] for name in own}
        return {name: namespace(a).zeros_like(a) for name, a in arrays.items()}
