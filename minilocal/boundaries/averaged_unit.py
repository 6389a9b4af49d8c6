"""The next module's first unit, averaged over the steps, behind a module's output: MAN's momentum auxiliary network.

    y = M(h) + B(h)                                                                             (1)
    dh = M's input error + B's,      dB = B's gradients;      M has none                        (2)
    θ(M) ← m θ(M) + (1-m) θ(u)                                                                  (3)

u is the next module's first unit, M a unit like it. B is another one that learns, or a number for each channel, or 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from minilocal import ops
from minilocal.array import Array
from minilocal.layers import Layer, PassContext
from minilocal.layers.base import Arrays, Need, Shape
from minilocal.layers.initial import Initializer, constant
from minilocal.layers.redrawn import redrawn
from minilocal.objectives import ModuleContext
from minilocal.ops.matmul import sum_rows

BIASES = ("unit", "channel", "none")
STARTS = ("copy", "random")


@dataclass(frozen=True)
class Averages:
    """How the weights of the next module's first unit are averaged behind a module; see `boundaries.weights`."""

    momentum: float
    bias: str
    start: str
    every: int

    def unit(self, context: ModuleContext) -> AveragedUnit:
        """The layer behind this module's output."""
        unit, shape = context.above[0]
        name, initial = f"aux.{context.module}", context.initial
        return AveragedUnit(unit, shape[-1], self.bias, self.start, self.momentum, initial, name)

    def cross(self, step: int) -> bool:
        """Whether the weights cross in this step of an epoch, counted from 0."""
        return step % self.every == 0


class AveragedCache(NamedTuple):
    """The caches of M and of B; None where B is no unit."""

    average: Any
    bias: Any


class AveragedUnit(Layer[AveragedCache]):
    """y = M(h) + B(h), where M follows the unit `unit` as an average and B learns.

    A layer is a pure function of its arrays, so M and B are `unit` itself under other arrays: `unit`'s names with
    `name`.average. and `name`.bias. before them. M's weights are no parameters: they are kept with the running
    statistics, of which M and B have their own. `channels` are those of an output, for the bias "channel".

    Raises: UserError where weights are to start at random, and a layer's initial ones are not known.
    """

    def __init__(
        self, unit: Layer, channels: int, bias: str, start: str, momentum: float, initial: Initializer, name: str
    ) -> None:
        super().__init__(f"{name}.average")
        self.unit, self.bias, self.momentum = unit, bias, momentum
        self.of_average, self.of_bias = f"{name}.average.", f"{name}.bias."
        of_copies = [self.of_average] + [self.of_bias] * (bias == "unit")
        weights = {
            prefix: unit.parameters if start == "copy" else redrawn(unit, initial, prefix) for prefix in of_copies
        }
        self.averaged = {self.of_average + n: a.copy() for n, a in weights[self.of_average].items()}
        self.buffers |= self.averaged
        for prefix in of_copies:
            self.buffers |= {prefix + n: a.copy() for n, a in unit.buffers.items()}
        if bias == "unit":
            self.parameters = {self.of_bias + n: a.copy() for n, a in weights[self.of_bias].items()}
        elif bias == "channel":
            self.parameters[f"{name}.bias"] = constant(0, channels)

    def forward(self, x: Array, ctx: PassContext, p: Arrays | None = None) -> tuple[Array, AveragedCache]:
        y, of_average = self.unit.forward(x, ctx, self._under(self.of_average, p))
        if self.bias == "unit":
            b, of_bias = self.unit.forward(x, ctx, self._under(self.of_bias, p))
            return y + b, AveragedCache(of_average, of_bias)  # (1)
        return y + self._constant(p) if self.bias == "channel" else y, AveragedCache(of_average, None)

    def backward(
        self, dy: Array, cache: AveragedCache, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        grads: dict[str, Array] = {}
        dx: Array | None = None
        if self.bias == "unit":
            dx, of_unit = self.unit.backward(dy, cache.bias, self._under(self.of_bias, p), need)
            grads = {self.of_bias + n: g for n, g in of_unit.items()}
        elif self.bias == "channel" and need != "input":
            grads[self._bias_name] = sum_rows(dy.reshape(-1, dy.shape[-1]))
        if need == "weights":
            return None, grads
        from_average, _ = self.unit.backward(dy, cache.average, self._under(self.of_average, p), "input")
        assert from_average is not None
        return from_average if dx is None else from_average + dx, grads  # (2)

    def update_running_stats(self, cache: AveragedCache, p: Arrays | None = None) -> None:
        self.unit.update_running_stats(cache.average, self._under(self.of_average, p))
        if self.bias == "unit":
            self.unit.update_running_stats(cache.bias, self._under(self.of_bias, p))

    def average(self, p: Arrays, steps: int = 1) -> None:
        """Move M's weights in p, in place, towards the unit's, as `steps` averagings of the same weights do."""
        m = self.momentum**steps
        ops.mix([(p[self.of_average + n], p[n].copy()) for n in self.unit.parameters], m, 1 - m)  # (3)

    def out_shape(self, shape: Shape) -> Shape:
        return self.unit.out_shape(shape)

    def macs(self, shape: Shape) -> int:
        return self.unit.macs(shape) * (2 if self.bias == "unit" else 1)

    @property
    def _bias_name(self) -> str:
        return self.of_bias.removesuffix(".")

    def _constant(self, p: Arrays | None) -> Array:
        return (self.parameters if p is None else p)[self._bias_name]

    def _under(self, prefix: str, p: Arrays | None) -> dict[str, Array]:
        """The arrays that a copy of the unit works with, by the unit's own names."""
        arrays = self.arrays if p is None else p
        return {n: arrays[prefix + n] for n in self.unit.arrays}


__all__ = ["BIASES", "STARTS", "AveragedUnit", "Averages"]
