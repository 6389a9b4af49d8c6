"""The twin of the rules with delays: a replay, iteration by iteration, by the papers' own index formulas.

D = K - k for module k, counted from 1; iterations and batches from 0.

    DDG   iteration t: module k forwards batch t, then takes the gradient of batch t - D
    FDG   iteration t: module k takes the gradient of batch t - (K + D - 1), module K of batch t - K;
          then module k forwards batch t - (k - 1)

Everything ever seen is remembered: inputs, errors and weights by module and batch. So there is no queue here, and what
the engine's queues make of the order of work has to agree with these formulas. The gradient of batch b in module k:

    stashed      of F_k at the input of batch b and the weights that forwarded it
    recompute    of F_k at that input and the weights of the day
    current      of `linear_in_new`, F_k at that input with every product's weights of the day and all else of the day
                 of the forward
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

held = lax.stop_gradient
Weights = dict[str, Any]


class DelayedReference:
    """A net under DDG, or with `activations_late` under FDG, trained by SGD with momentum and decay.

    `parts` are a Learner's modules, `run(b)` the names of batch b's chance, p its arrays at the start. `weights` are
    the arrays now, `moves` how often each module has been updated.
    """

    def __init__(
        self,
        parts: Sequence[Any],
        p: Mapping[str, Any],
        *,
        activations_late: bool,
        beta: float = 1.0,
        backward_weights: str = "stashed",
        lr: float = 0.1,
        momentum: float = 0.0,
        decay: float = 0.0,
        run: Callable[[int], PassContext] = lambda b: PassContext(),
    ) -> None:
        self.K, self.late, self.beta, self.mode = len(parts), activations_late, beta, backward_weights
        self.lr, self.momentum, self.decay, self.run, self.t = lr, momentum, decay, run, 0
        self.units = [[(unit, m.first + u) for u, unit in enumerate(m.units)] for m in parts]
        head = parts[-1].objective.network
        self.units[-1].append((head, parts[-1].top))
        self.weights = [{n: np.asarray(p[n]) for unit, _ in units for n in unit.parameters} for units in self.units]
        self.velocity: list[Weights] = [{} for _ in parts]
        self.moves = [0] * self.K
        self.labels: dict[int, Any] = {}
        self.inputs: dict[tuple[int, int], Any] = {}  # by module and batch, as the next two
        self.errors: dict[tuple[int, int], Any] = {}
        self.forwarded_by: dict[tuple[int, int], Weights] = {}
        self.last: dict[int, Weights] = {}  # module K's gradients, by batch

    def iterate(self, x: Any, y: Any) -> float | None:
        """One iteration with one more batch; module K's loss, None where no batch has reached it."""
        t, K = self.t, self.K
        self.inputs[1, t], self.labels[t], self.t = jnp.asarray(x), jnp.asarray(y), t + 1
        loss = None
        for k in range(1, K + 1):
            D = K - k
            if self.late:
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
            for unit, place in self.units[k - 1]:
                h = _forward(unit, self.run(b).at(place))(p, h)
            self.inputs[k + 1, b] = h
            return None
        loss, (self.last[b], self.errors[k - 1, b]) = self._answer(b)
        return loss

    def _answer(self, b: int) -> tuple[float, tuple[Weights, Any]]:
        entries, h = [], self.inputs[self.K, b]
        p = self.weights[-1]
        for unit, place in self.units[-1]:
            entries.append(h)
            h = _forward(unit, self.run(b).at(place))(p, h)
        loss, error = _loss(h, self.labels[b])
        return float(loss), self._down(self.K, b, entries, p, p, error)

    def _update(self, k: int, b: int) -> None:
        """Module k learns from batch b, if there is such a batch."""
        if b < 0:
            return
        grads = self.last[b] if k == self.K else self._pull(k, b)
        w, v = self.weights[k - 1], self.velocity[k - 1]
        for name, grad in grads.items():
            g = np.asarray(grad) + self.decay * w[name]
            v[name] = self.momentum * v[name] + g if name in v else g
        self.weights[k - 1] = {name: a - self.lr * v[name] for name, a in w.items()}
        self.moves[k - 1] += 1

    def _pull(self, k: int, b: int) -> Weights:
        """The gradient of batch b in module k; what arrives at its bottom is remembered for module k-1."""
        old, new = self.forwarded_by[k, b], self.weights[k - 1]
        p = new if self.mode == "recompute" else old
        entries, h = [], self.inputs[k, b]
        for unit, place in self.units[k - 1]:
            entries.append(h)
            h = _forward(unit, self.run(b).at(place))(p, h)
        taken = new if self.mode == "current" else p
        grads, self.errors[k - 1, b] = self._down(k, b, entries, p, taken, self.beta * self.errors[k, b])
        return grads

    def _down(self, k: int, b: int, entries: list[Any], old: Weights, new: Weights, error: Any) -> tuple[Weights, Any]:
        """An error down the units of module k, each at the input that it had."""
        grads: Weights = {}
        for (unit, place), h in zip(reversed(self.units[k - 1]), reversed(entries), strict=True):
            more, error = _backward(unit, self.run(b).at(place))(old, new, h, error)
            grads |= more
        return grads, error

    def arrays(self) -> dict[str, np.ndarray]:
        """All weights by name."""
        return {name: a for weights in self.weights for name, a in weights.items()}


@lru_cache(maxsize=512)
def _forward(unit: Layer, run: PassContext) -> Any:
    """y = unit(x) with the weights of that name in p."""
    climb = _compiled(lambda p, x: reference(unit, x, p, run), run)
    return lambda p, x: climb(_of(unit, p), x)


@lru_cache(maxsize=512)
def _backward(unit: Layer, run: PassContext) -> Any:
    """(gradients, error at the input) from x and the error at the output."""

    def pull(old: Weights, new: Weights, x: Any, error: Any) -> Any:
        return jax.vjp(lambda q, a: mixed_weights_layer(unit, a, old, q, run), new, x)[1](error)

    walk = _compiled(pull, run)
    return lambda old, new, x, error: walk(_of(unit, old), _of(unit, new), x, error)


def _compiled(function: Callable[..., Any], run: PassContext) -> Callable[..., Any]:
    """Compiled where every batch runs alike; where each has its own chance, compiling costs more than it saves."""
    return jax.jit(function) if run.at(0) == PassContext() else function


def _of(unit: Layer, p: Weights) -> Weights:
    return {name: p[name] for name in unit.parameters}


@jax.jit
def _loss(z: Any, y: Any) -> Any:
    return jax.value_and_grad(cross_entropy)(z, y)


def mixed_weights_layer(layer: Layer, x: Any, old: Weights, new: Weights, run: PassContext, add: Any = None) -> Any:
    """A layer whose value is that of the old weights, and whose slopes are those of a backward that reads the new ones.

    A product x w has the slopes w (new) in x and x (old) in w; γ n(x) likewise; masks and statistics are old, since x
    is. Where old and new are the same this is the layer.
    """
    if isinstance(layer, layers.Sequential):
        for child in layer.layers:
            x = mixed_weights_layer(child, x, old, new, run)
        return x
    if isinstance(layer, layers.Residual):
        a = mixed_weights_layer(layer.conv1, x, old, new, run)
        a = mixed_weights_layer(layer.norm1, a, old, new, run)
        z = mixed_weights_layer(layer.conv2, a, old, new, run)
        return mixed_weights_layer(layer.norm2, z, old, new, run, mixed_weights_layer(layer.shortcut, x, old, new, run))
    if not layer.parameters:
        return reference(layer, x, {}, run)
    weight, bias = f"{layer.name}.weight", f"{layer.name}.bias"
    plain = {weight: jnp.ones_like(old[weight]), bias: jnp.zeros_like(old.get(bias, 0.0))}
    if isinstance(layer, layers.BatchNorm):
        kind = layers.BatchNorm(layer.channels, name=layer.name, eps=layer.eps)
        n = reference(kind, x, plain, run)
        sloped = n * held(new[weight]) + held(n) * new[weight] + new[bias]
        value = reference(kind, x, old, run)
        if add is not None:
            sloped, value = sloped + add, value + add
        y = _valued(value, sloped)
        return jnp.where(y > 0, y, 0) if layer.relu else y
    value = reference(layer, x, old, run)
    in_x = reference(layer, x, {**plain, weight: held(new[weight])}, run)
    in_w = reference(layer, held(x), {**plain, weight: new[weight]}, run)
    return _valued(value, in_x + in_w + new.get(bias, 0.0))


def _valued(value: Any, sloped: Any) -> Any:
    """`value`, with the slopes of `sloped`."""
    return held(value) + (sloped - held(sloped))
