"""AugLocal's auxiliary networks: blocks that repeat the network's own later units, at evenly spaced depths.

Ma, Wu, Si and Tan, "Scaling Supervised Local Learning with Augmented Auxiliary Networks", ICLR 2024, and its code.

Boundary l = 0, 1, ... K-2 stands above unit l of n; K = n - d modules, of which the last has d + 1 units.

    d_l = max(1, round( d (1 - l τ / (K-2)) + l τ / (K-2) ))               blocks: fewer, the higher the boundary
    i   = round( l + (n-1-l) / d_l · 1 ... d_l ), or all of l+1 ... n-1     the units whose widths they have
    A_l = blocks C → dim[i], global average pooling, batch norm where d_l = 1, linear

A block halves the map where the widths have doubled: with p ← p + log2(dim[i] / C), stride 2 and p ← p - 1 where p ≥ 1.
Its weights are its own, drawn anew. Python's `round` takes halves to the even number, and the last i is always n-1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minilocal.errors import UserError, fraction, set_checked, whole
from minilocal.layers import (
    BatchNorm,
    BatchNormReLU,
    Conv,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    PreActivation,
    Residual,
    Sequential,
)
from minilocal.layers.initial import Initializer
from minilocal.objectives.base import ClassifierLoss, ModuleContext, ObjectiveSpec


@dataclass(frozen=True)
class Augmented(ObjectiveSpec):
    """The cross entropy of an auxiliary network made of blocks like the network's own later units (AugLocal).

    `depth` is d, the blocks behind the lowest boundary; `tau` is τ, how far that number falls towards 1 at the highest.

    Raises: UserError for a depth below 1 and a τ outside [0, 1]; `build` for a network whose later units are no
    convolutions.
    """

    depth: int = 2
    tau: float = 0.5

    def __post_init__(self) -> None:
        set_checked(self, depth=whole("AugLocal depth", self.depth, give="the blocks of the lowest, 1 or more"))
        set_checked(self, tau=fraction("AugLocal tau", self.tau, why="0 is as many blocks at every boundary"))

    def build(self, context: ModuleContext) -> ClassifierLoss:
        """The auxiliary classifier of this module, its arrays named aux.{k}.{i}.

        Raises: UserError where a unit that it repeats is no block of convolutions.
        """
        depth = depth_at(context.module, context.modules, self.depth, self.tau)
        return ClassifierLoss(_network(depth, context))

    def describe(self) -> str:
        return f"a classifier behind {self.depth} of the network's own later units (τ = {self.tau:g})"


def depth_at(l: int, modules: int, depth: int, tau: float) -> int:
    """d_l: the nominal blocks behind boundary l. With two modules there is one boundary, and it has `depth`."""
    falls = l * tau / (modules - 2) if modules > 2 else 0.0
    return max(1, round(depth * (1 - falls) + falls))


def sampled(l: int, units: int, depth: int) -> list[int]:
    """The numbers of the units above unit `l` of `units` that an auxiliary network of `depth` blocks repeats."""
    above = units - 1 - l
    if depth >= above:
        return list(range(l + 1, units))
    return [round(l + above / depth * i) for i in range(1, depth + 1)]


def strides(channels: int, widths: list[int]) -> list[int]:
    """The stride of each block, from the widths before and after it: at most one halving a block."""
    result, pool = [], 0.0
    for width in widths:
        pool += math.log2(width / channels)
        result.append(2 if pool >= 1 else 1)
        pool -= pool >= 1
        channels = width
    return result


def _network(depth: int, context: ModuleContext) -> Sequential:
    name, initial = f"aux.{context.module}", context.initial
    top = context.unit - 1
    units = [context.above[i - top - 1] for i in sampled(top, context.units, depth)]
    for unit, shape in units:
        if len(context.shape) != 3 or len(shape) != 3 or not isinstance(unit, (Residual, PreActivation, Sequential)):
            raise UserError(
                f"AugLocal's auxiliary networks repeat blocks of convolutions, and unit {unit.name!r} above module "
                f"{context.module + 1} is none: use a ResNet, or objective=classifier."
            )
    channels, index = context.shape[-1], 0
    layers: list[Layer] = []
    for (unit, shape), stride in zip(units, strides(channels, [s[-1] for _, s in units]), strict=True):
        layers.append(_like(unit, channels, shape[-1], stride, initial, f"{name}.{index}"))
        channels, index = shape[-1], index + 1
    layers += [GlobalAveragePool(name=f"{name}.{index}"), Flatten(f"{name}.{index + 1}")]
    if depth <= 1:  # the nominal depth, which is 1 at the highest boundaries too
        layers.append(BatchNorm(channels, initial, name=f"{name}.{index + 2}"))
    layers.append(Linear(channels, context.classes, initial, name=f"{name}.{index + 3}"))
    return Sequential(layers, name)


def _like(unit: Layer, inputs: int, outputs: int, stride: int, initial: Initializer, name: str) -> Layer:
    """A block of the kind of `unit`, between other widths."""
    if isinstance(unit, Residual):
        return Residual(inputs, outputs, stride, initial, name=name)
    if isinstance(unit, PreActivation):
        return PreActivation(inputs, outputs, stride, initial, name=name)
    conv = Conv(inputs, outputs, 3, initial, stride=stride, pad=1, name=f"{name}.0")
    return Sequential([conv, BatchNormReLU(outputs, initial, name=f"{name}.1")], name)
