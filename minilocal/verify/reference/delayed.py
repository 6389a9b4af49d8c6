"""The reference of the rules with delays: a replay, iteration by iteration, by the papers' own index formulas.

D = K - k for module k, counted from 1; iterations and batches from 0.

    DDG   iteration t: module k forwards batch t, then takes the gradient of batch t - D
    FDG   iteration t: module k takes the gradient of batch t - (K + D - 1), module K of batch t - K;
          then module k forwards batch t - (k - 1)

Inputs, errors and weights are stored by module and batch for the whole run. So there is no queue here, and the order
that the engine's queues produce has to agree with these formulas. The gradient of batch b in module k is that of F_k:

    stashed      at the input of batch b and the weights that forwarded it
    recompute    at that input and today's weights
    current      at the stored activations, but with today's weights in every matrix product of the backward pass (what
                 both public codes do): `mixed_weights_layer`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minilocal import layers
from minilocal.layers import Layer, PassContext
from minilocal.verify.jax_cpu import jax, jnp, lax
from minilocal.verify.reference.layers import reference
from minilocal.verify.reference.losses import cross_entropy

stop_gradient = lax.stop_gradient
Weights = dict[str, Any]


class DelayedReference:
    """A net under DDG, or with `delayed_activations` under FDG, trained by SGD with momentum and decay.

    `modules` are a Learner's, `ctx(b)` is the context of batch b, with its random streams, and p the arrays at the
    start. `weights` are the arrays now, `updates` how often each module has been updated.
    """

    def __init__(
        self,
        modules: Sequence[Any],
        p: Mapping[str, Any],
        *,
        delayed_activations: bool,
        beta: float = 1.0,
        backward_weights: str = "stashed",
        lr: float = 0.1,
        momentum: float = 0.0,
        decay: float = 0.0,
        ctx: Callable[[int], PassContext] = lambda b: PassContext(),
    ) -> None:
        self.K, self.delayed_activations, self.beta, self.mode = (
            len(modules),
            delayed_activations,
            beta,
            backward_weights,
        )
        self.lr, self.momentum, self.decay, self.ctx, self.t = lr, momentum, decay, ctx, 0
        self.units = [[(unit, m.first + u) for u, unit in enumerate(m.units)] for m in modules]
        head = modules[-1].objective.network
        self.units[-1].append((head, modules[-1].top))
        self.weights = [{n: np.asarray(p[n]) for unit, _ in units for n in unit.parameters} for units in self.units]
        self.velocity: list[Weights] = [{} for _ in modules]
        self.updates = [0] * self.K
        self.labels: dict[int, Any] = {}
        self.inputs: dict[tuple[int, int], Any] = {}  # by module and batch, as the next two
        self.errors: dict[tuple[int, int], Any] = {}
        self.forwarded_by: dict[tuple[int, int], Weights] = {}
        self.last_grads: dict[int, Weights] = {}  # module K's gradients, by batch

    def iterate(self, x: Any, y: Any) -> float | None:
        """One iteration with one more batch; module K's loss, None where no batch has reached it."""
        t, K = self.t, self.K
        self.inputs[1, t], self.labels[t], self.t = jnp.asarray(x), jnp.asarray(y), t + 1
        loss = None
        for k in range(1, K + 1):
            D = K - k
            if self.delayed_activations:
                self._update(k, t - (K if k == K else K + D - 1))
                loss = self._forward(k, t - (k - 1))
            else:
                loss = self._forward(k, t)
                self._update(k, t - D)
        return loss

    def _forward(self, k: int, b: int) -> float | None:
        if b < 0:
            return None
        h, p = self.inputs[k, b], self.weights[k - 1]
        self.forwarded_by[k, b] = p
        if k < self.K:
            for unit, number in self.units[k - 1]:
                h = _forward(unit, self.ctx(b).at(number))(p, h)
            self.inputs[k + 1, b] = h
            return None
        loss, (self.last_grads[b], self.errors[k - 1, b]) = self._last_module(b)
        return loss

    def _last_module(self, b: int) -> tuple[float, tuple[Weights, Any]]:
        inputs, h = [], self.inputs[self.K, b]
        p = self.weights[-1]
        for unit, number in self.units[-1]:
            inputs.append(h)
            h = _forward(unit, self.ctx(b).at(number))(p, h)
        loss, error = _loss(h, self.labels[b])
        return float(loss), self._backward(self.K, b, inputs, p, p, error)

    def _update(self, k: int, b: int) -> None:
        """Updates module k by the gradient of batch b, if there is such a batch."""
        if b < 0:
            return
        grads = self.last_grads[b] if k == self.K else self._gradient(k, b)
        w, v = self.weights[k - 1], self.velocity[k - 1]
        for name, grad in grads.items():
            g = np.asarray(grad) + self.decay * w[name]
            v[name] = self.momentum * v[name] + g if name in v else g
        self.weights[k - 1] = {name: a - self.lr * v[name] for name, a in w.items()}
        self.updates[k - 1] += 1

    def _gradient(self, k: int, b: int) -> Weights:
        """The gradient of batch b in module k; the error at its input is stored for module k-1."""
        old, new = self.forwarded_by[k, b], self.weights[k - 1]
        p = new if self.mode == "recompute" else old
        inputs, h = [], self.inputs[k, b]
        for unit, number in self.units[k - 1]:
            inputs.append(h)
            h = _forward(unit, self.ctx(b).at(number))(p, h)
        taken = new if self.mode == "current" else p
        grads, self.errors[k - 1, b] = self._backward(k, b, inputs, p, taken, self.beta * self.errors[k, b])
        return grads

    def _backward(
        self, k: int, b: int, inputs: list[Any], old: Weights, new: Weights, error: Any
    ) -> tuple[Weights, Any]:
        """(gradients, error at the input) of module k, each unit at its own input."""
        grads: Weights = {}
        for (unit, number), h in zip(reversed(self.units[k - 1]), reversed(inputs), strict=True):
            more, error = _backward(unit, self.ctx(b).at(number))(old, new, h, error)
            grads |= more
        return grads, error

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights by name."""
        return {name: a for weights in self.weights for name, a in weights.items()}


@lru_cache(maxsize=512)
def _forward(unit: Layer, ctx: PassContext) -> Any:
    """y = unit(x), with the unit's weights out of p."""
    y = _compiled(lambda p, x: reference(unit, x, p, ctx), ctx)
    return lambda p, x: y(_weights_of(unit, p), x)


@lru_cache(maxsize=512)
def _backward(unit: Layer, ctx: PassContext) -> Any:
    """(gradients, error at the input) from x and the error at the output."""

    def backward(old: Weights, new: Weights, x: Any, error: Any) -> Any:
        return jax.vjp(lambda q, a: mixed_weights_layer(unit, a, old, q, ctx), new, x)[1](error)

    compiled = _compiled(backward, ctx)
    return lambda old, new, x, error: compiled(_weights_of(unit, old), _weights_of(unit, new), x, error)


def _compiled(function: Callable[..., Any], ctx: PassContext) -> Callable[..., Any]:
    """Compiled, unless each batch has random streams of its own: then compiling costs more than it saves."""
    return jax.jit(function) if ctx.at(0) == PassContext() else function


def _weights_of(unit: Layer, p: Weights) -> Weights:
    return {name: p[name] for name in unit.parameters}


@jax.jit
def _loss(z: Any, y: Any) -> Any:
    return jax.value_and_grad(cross_entropy)(z, y)


def mixed_weights_layer(layer: Layer, x: Any, old: Weights, new: Weights, ctx: PassContext, add: Any = None) -> Any:
    """Forward with the old weights, but differentiate as if the backward pass read the new ones.

    A product x w has the slopes w (new) in x and x (old) in w; γ n(x) likewise. Masks and statistics are old, since x
    is. Where old and new are the same this is the layer.
    """
    if isinstance(layer, layers.Sequential):
        for child in layer.layers:
            x = mixed_weights_layer(child, x, old, new, ctx)
        return x
    if isinstance(layer, layers.Residual):
        a = mixed_weights_layer(layer.conv1, x, old, new, ctx)
        a = mixed_weights_layer(layer.norm1, a, old, new, ctx)
        z = mixed_weights_layer(layer.conv2, a, old, new, ctx)
        return mixed_weights_layer(layer.norm2, z, old, new, ctx, mixed_weights_layer(layer.shortcut, x, old, new, ctx))
    if not layer.parameters:
        return reference(layer, x, {}, ctx)
    weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
    plain = {weight: jnp.ones_like(old[weight]), bias: jnp.zeros_like(old.get(bias, 0.0))}
    if isinstance(layer, layers.BatchNorm):
        kind = layers.BatchNorm(layer.channels, name=layer.name, eps=layer.eps)
        n = reference(kind, x, plain, ctx)
        sloped = n * stop_gradient(new[weight]) + stop_gradient(n) * new[weight] + new[bias]
        value = reference(kind, x, old, ctx)
        if add is not None:
            sloped, value = sloped + add, value + add
        y = _valued(value, sloped)
        return jnp.where(y > 0, y, 0) if layer.relu else y
    value = reference(layer, x, old, ctx)
    in_x = reference(layer, x, {**plain, weight: stop_gradient(new[weight])}, ctx)
    in_w = reference(layer, stop_gradient(x), {**plain, weight: new[weight]}, ctx)
    return _valued(value, in_x + in_w + new.get(bias, 0.0))


def _valued(value: Any, sloped: Any) -> Any:
    """`value`, with the slopes of `sloped`."""
    return stop_gradient(value) + (sloped - stop_gradient(sloped))
