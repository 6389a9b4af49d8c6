"""Batch norm, alone and fused with the addition and the ReLU that follow it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from minilocal.array import Array, namespace
from minilocal.errors import UserError, fraction, real
from minilocal.layers.base import Arrays, Layer, Need, PassContext, Shape, whole_sizes
from minilocal.layers.initial import Initializer, constant
from minilocal.ops.batch_norm import (
    RunningUpdate,
    Statistics,
    batch_norm_apply,
    batch_norm_backward,
    batch_norm_stats,
    batch_norm_update_running,
)


class NormCache(NamedTuple):
    """The input z, the batch's (or the running) statistics, r = 1/√(σ² + ε), and with a ReLU its output a."""

    z: Array
    stats: Statistics | None  # of the batch; None in evaluation
    mean: Array
    r: Array
    a: Array | None


class BatchNorm(Layer[NormCache]):
    """Each channel at mean 0 and deviation 1 over the batch, then scaled and shifted.

        n  = (z - μ) r      r = 1/√(σ² + ε)      y = γ n + β            (1)
        dγ = Σ dy·n         dβ = Σ dy                                   (2)
        dz = γ r (dy - mean dy - n · mean(dy·n))                        (3)

        z (N, C), or (N, H, W, C) read as N·H·W rows of C; γ, β (C,). In evaluation μ and σ² are the running ones
        and constants, so dz = γ r dy.

    A batch of one sample of vectors (1, C) has deviation 0: then n = 0 and y = β, whatever z is, dz = 0, and the
    running variance moves a tenth of its way to 0. PyTorch refuses it. One image is H·W rows, no such case.

    Keeps z and two numbers per channel, from which n is computed again. Running statistics: (1 - momentum) old +
    momentum new, the variance unbiased; only `update_running_stats` moves them. Numbers out of range raise UserError.
    """

    def __init__(
        self,
        channels: int,
        rng: np.random.Generator | Initializer | None = None,
        *,
        name: str = "",
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> None:
        super().__init__(name)
        (self.channels,) = whole_sizes(self, channels=channels)
        self.momentum, self.eps = _in_range(f"{type(self).__name__} {name!r}", momentum, eps)
        gamma = self._full("weight")
        self.parameters[gamma] = constant(1, channels) if rng is None else Initializer.of(rng).gamma(gamma, channels)
        self.parameters[self._full("bias")] = constant(0, channels)
        self.buffers[self._full("running_mean")] = constant(0, channels)
        self.buffers[self._full("running_var")] = constant(1, channels)

    relu = False

    def forward(
        self,
        x: Array,
        ctx: PassContext,
        p: Arrays | None = None,
        add: Array | None = None,
        stats: Statistics | None = None,  # of x, if they are known
    ) -> tuple[Array, NormCache]:
        stats = (stats or batch_norm_stats(x, self.eps)) if ctx.training else None
        if stats:
            mean, r = stats.mean, stats.r
        else:
            mean, r = self._get(p, "running_mean"), 1 / namespace(x).sqrt(self._get(p, "running_var") + self.eps)
        y = batch_norm_apply(x, mean, r, self._get(p, "weight"), self._get(p, "bias"), add, self.relu)  # (1)
        return y, NormCache(x, stats, mean, r, y if self.relu else None)

    def backward_both(
        self, dy: Array, cache: NormCache, p: Arrays | None = None, need: Need = "both", both: bool = True
    ) -> tuple[Array | None, Array | None, dict[str, Array]]:
        """(dz, the error after ReLU's backward, gradients). With `both`, an added shortcut receives the second."""
        z, stats, mean, r, a = cache
        gamma = self._get(p, "weight")
        if stats:
            dz, dgamma, dbeta, dadd = batch_norm_backward(dy, z, mean, r, gamma, a, both)  # (2), (3)
        else:
            dadd, rows = dy if a is None else dy * (a > 0), tuple(range(dy.ndim - 1))
            dz = dadd * (gamma * r)
            dgamma, dbeta = (dadd * ((z - mean) * r)).sum(axis=rows), dadd.sum(axis=rows)
        grads = {} if need == "input" else {self._full("weight"): dgamma, self._full("bias"): dbeta}
        return None if need == "weights" else dz, dadd, grads

    def backward(
        self, dy: Array, cache: NormCache, p: Arrays | None = None, need: Need = "both"
    ) -> tuple[Array | None, dict[str, Array]]:
        dz, _, grads = self.backward_both(dy, cache, p, need, both=False)
        return dz, grads

    def update_running_stats(self, cache: NormCache, p: Arrays | None = None) -> None:
        batch_norm_update_running(self.running_updates(cache, p))

    def running_updates(self, cache: NormCache, p: Arrays | None = None) -> list[RunningUpdate]:
        """What `update_running_stats` updates; a block of several norms updates all in one call."""
        if cache.stats is None:
            return []
        mean, variance = self._get(p, "running_mean"), self._get(p, "running_var")
        return [RunningUpdate(mean, variance, cache.stats, self.momentum)]

    def out_shape(self, shape: Shape) -> Shape:
        if shape[-1] != self.channels:
            raise UserError(
                f"{type(self).__name__}({self.channels}) {self.name!r} was given {shape} per sample: "
                f"build it with {shape[-1]} channels."
            )
        return shape


class BatchNormReLU(BatchNorm):
    """Batch norm, an optional addition, and ReLU in one pass: a = max(γ n + β [+ s], 0).

    Keeps z and a. ReLU's backward needs a only, which the next convolution keeps as its input anyway. So between two
    convolutions exactly two arrays are kept; γ n + β is never stored.
    """

    relu = True


def _in_range(what: str, momentum: float, eps: float) -> tuple[float, float]:
    """Momentum and ε. Raises: UserError for a momentum outside [0, 1], and an ε that is not above 0."""
    above_0 = "give a number above 0, as 1e-05"
    return fraction(f"{what}: momentum", momentum), real(f"{what}: eps", eps, 0, float("inf"), "()", why=above_0)
