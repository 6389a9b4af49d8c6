"""An objective of two heads behind one h_k, of which only the second's error leaves the module.

L_k = L_own(h_k) + L_cascade(h_k)
e_k = ∂L_own/∂h_k, which ends at the module's input, and ∂L_cascade/∂h_k, which goes on where the boundary lets it
"""

from __future__ import annotations

from typing import Any

from minilocal.array import Array
from minilocal.layers.base import Arrays, Need, PassContext, Shape
from minilocal.objectives.base import Batch
from minilocal.objectives.branches import Branches


class TwoHeads:
    """Two weighted sums of losses. Both may have the same networks: then their gradients are added.

    Where boundaries send no error, it is one objective, whose loss and error are the sums.
    """

    def __init__(self, own: Branches, cascade: Branches) -> None:
        self.own, self.cascade = own, cascade
        self.parameters, self.buffers = own.parameters | cascade.parameters, own.buffers | cascade.buffers

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        (own, own_cache), (cascade, cache) = (part.forward(h, batch, ctx, p) for part in (self.own, self.cascade))
        return own + cascade, (own_cache, cache)

    def backward(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        stays, leaves, grads = self.backward_divided(cache, p, need)
        return leaves if stays is None or leaves is None else stays + leaves, grads

    def backward_divided(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, Array | None, dict[str, Array]]:
        """(the error that stays in the module, None where its weights are 0; the one that leaves; the gradients)."""
        stays, grads = self.own.backward(cache[0], p, need)
        leaves, more = self.cascade.backward(cache[1], p, need)
        for name, g in more.items():
            grads[name] = grads[name] + g if name in grads else g
        return stays if self.own.is_weighted else None, leaves, grads

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        """Each batch norm once, also one that both heads have."""
        shared = self.own.buffers.keys() & self.cascade.buffers.keys()
        self.cascade.update_running_stats(cache[1], p)
        if not (shared and self.cascade.is_weighted):
            self.own.update_running_stats(cache[0], p)

    def logits(self, h: Array, ctx: PassContext, p: Arrays | None = None) -> Array | None:
        """Those of the cascade head's classifier, or of the own head's where that has none or its weight is 0."""
        logits = self.cascade.logits(h, ctx, p)
        return self.own.logits(h, ctx, p) if logits is None else logits

    def macs(self, shape: Shape) -> int:
        """The multiply-adds of a forward pass behind one h_k of this shape."""
        return self.own.macs(shape) + self.cascade.macs(shape)
