"""A local objective that sees a module's output through a layer: L_k(y_k), y_k = layer(h_k)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from minilocal.array import Array
from minilocal.layers import Layer
from minilocal.layers.base import Arrays, Need, PassContext, Shape
from minilocal.objectives.base import Batch, ModuleContext, Objective


class Behind:
    """L_k = L(layer(h_k)), and e_k = ∂L_k/∂h_k: the error of L at the layer's output, through the layer.

    Parameters and running statistics are those of both; the layer learns from L_k, where it has parameters.
    """

    def __init__(self, layer: Layer, objective: Objective) -> None:
        self.layer, self.objective = layer, objective
        self.parameters = {**layer.parameters, **objective.parameters}
        self.buffers = {**layer.buffers, **objective.buffers}

    def forward(self, h: Array, batch: Batch, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, Any]:
        y, cache = self.layer.forward(h, ctx, p)
        loss, of_objective = self.objective.forward(y, batch, ctx, p)
        return loss, (cache, of_objective)

    def backward(
        self, cache: Any, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        of_layer, of_objective = cache
        ends_above = need == "weights" and not self.layer.parameters
        dy, grads = self.objective.backward(of_objective, p, need if need == "input" or ends_above else "both")
        if ends_above:
            return None, grads
        assert dy is not None
        dh, of_parameters = self.layer.backward(dy, of_layer, p, need)
        return dh, grads | of_parameters

    def update_running_stats(self, cache: Any, p: Arrays | None = None) -> None:
        self.layer.update_running_stats(cache[0], p)
        self.objective.update_running_stats(cache[1], p)

    def logits(self, h: Array, ctx: PassContext, p: Arrays | None = None) -> Array | None:
        """The logits of the objective's classifier for the layer's output; None where it has none."""
        logits = getattr(self.objective, "logits", None)  # an objective from outside the package may have none
        return None if logits is None else logits(self.layer.forward(h, ctx, p)[0], ctx, p)

    def macs(self, shape: Shape) -> int:
        """The multiply-adds of a forward pass behind one h_k of this shape."""
        return self.layer.macs(shape) + macs_behind(self.objective, self.layer.out_shape(shape))


@dataclass(frozen=True)
class BehindUnit(ModuleContext):
    """The position and shapes of an objective that sees the module's output through the next module's first unit."""

    through: str = ""  # that unit's name

    @classmethod
    def of(cls, context: ModuleContext) -> BehindUnit:
        """As that of the module itself, one unit further up."""
        unit, shape = context.above[0]
        values = {field.name: getattr(context, field.name) for field in fields(context)}
        values |= {"unit": context.unit + 1, "shape": shape, "above": context.above[1:]}
        return cls(**values, through=unit.name)


def macs_behind(part: Any, shape: Shape) -> int:
    """The multiply-adds of a part behind one h_k of this shape; one without a `macs` uses each weight once."""
    counted = getattr(part, "network", part)  # of a classifier's loss, its auxiliary network
    if hasattr(counted, "macs"):
        return int(counted.macs(shape))
    return sum(w.size for w in part.parameters.values() if w.ndim > 1)


__all__ = ["Behind", "BehindUnit", "macs_behind"]
