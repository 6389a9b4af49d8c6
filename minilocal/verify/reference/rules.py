"""The twin of every rule: one number whose plain gradient, under stop-gradients, is what the rule teaches.

    sg[·] is a constant to whoever differentiates.

    BP         L_K
    GLL        Σ_k L_k( f_k(sg[h_{k-1}]) )
    BackLink   Σ_k L_k( c_k(f_k^below(sg[h_{k-1}])) ; c_k constant )            units below the range, and the heads
             + Σ_k L_k( c_k^α(sg[h_k^below]) ; head constant )                  linked units, their own module's loss
             + Σ_{k<K} D_{k+1}( c_k^{1-α}(sg[h_k^below]) ; all weights above constant )              ... the next one's

c_k are the last l units of module k. The last two lines are the paper's two branches with shared weights. c^α computes
what c does, and scales the error that comes back: after its top unit only (unfolded: α once), or after every unit, as
(4) and (5) are printed (literal: α compounds). So the twin follows the equations' recursion, and the engine's factors
a_j = α^(j+1) have to agree with it. D_m(h) is the number whose slope at module m's input h is what module m sends down:

    D_m = L_m(f_m(h))                                     its own loss; always so for m = K, or where f_m is not all c_m
    D_m = L_m(c_m^α(h))                                   own-scaled
    D_m = L_m(c_m^α(h)) + D_{m+1}(c_m^{1-α}(h))           total: δ_lc + δ_gl

Nothing here is the engine's: it asks the Learner only what stands where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from minilocal.layers import Layer, PassContext
from minilocal.verify.jax_cpu import jax, jnp, lax
from minilocal.verify.reference.layers import reference
from minilocal.verify.reference.losses import cross_entropy

held = lax.stop_gradient


@dataclass(frozen=True)
class Part:
    """A module: its units, the number of the first of them, and the network that classifies its output."""

    units: Sequence[Layer]
    first: int
    head: Layer | None

    @property
    def top(self) -> int:
        return self.first + len(self.units) - 1


def parts(learner: Any) -> list[Part]:
    """What stands where in a Learner."""
    return [Part(m.units, m.first, m.objective.network if m.objective else None) for m in learner.modules]


def gradients(rule: Any, p: Mapping[str, Any], weights: Sequence[str]) -> tuple[Any, dict[str, Any]]:
    """(losses of the modules, {name: gradient}) of a twin, `rule(p)` being (its number, its modules' losses)."""
    constants = {name: a for name, a in p.items() if name not in weights}
    slope = jax.value_and_grad(lambda q: rule({**constants, **q}), has_aux=True)
    (_, losses), grads = slope({name: p[name] for name in weights})
    return losses, grads


def bp(net: list[Part], p: Any, x: Any, y: Any, run: PassContext) -> tuple[Any, list[Any]]:
    """The last loss; the other modules have none."""
    for part in net:
        x = climb(part.units, part.first, x, p, run)
    loss = local_loss(net[-1], x, p, y, run)
    return loss, [float("nan")] * (len(net) - 1) + [held(loss)]


def gll(net: list[Part], p: Any, x: Any, y: Any, run: PassContext) -> tuple[Any, list[Any]]:
    """The sum of all modules' losses, every boundary a constant."""
    losses = []
    for part in net:
        x = climb(part.units, part.first, held(x), p, run)
        losses.append(local_loss(part, x, p, y, run))
    return sum(losses), [held(loss) for loss in losses]


def backlink(
    net: list[Part],
    p: Any,
    x: Any,
    y: Any,
    run: PassContext,
    *,
    length: int | str,
    alpha: float,
    weighting: str,
    error: str = "own",
) -> tuple[Any, list[Any]]:
    """GLL for what is below the range, and two branches for what is inside."""
    total, losses = 0.0, []

    def linked_units(m: int) -> int:
        units = len(net[m].units)
        return 0 if m == len(net) - 1 else units if length == "module" else min(int(length), units)

    def sent(m: int, h: Any) -> Any:  # D_m
        part, up = net[m], lambda how: climb(net[m].units, net[m].first, h, held(p), run, how)
        if error == "own" or linked_units(m) < len(part.units):
            return local_loss(part, up(None), held(p), y, run)
        scaled = local_loss(part, up((alpha, weighting)), held(p), y, run)
        return scaled + sent(m + 1, up((1 - alpha, weighting))) if error == "total" else scaled

    for k, part in enumerate(net):
        count = linked_units(k)
        below, linked = part.units[: len(part.units) - count], part.units[len(part.units) - count :]
        first = part.first + len(below)

        base = climb(below, part.first, held(x), p, run)
        x = climb(linked, first, base, held(p), run)
        losses.append(local_loss(part, x, p, y, run))
        total += losses[-1]
        if not count:
            continue
        near = climb(linked, first, held(base), p, run, (alpha, weighting))
        total += local_loss(part, near, held(p), y, run)
        total += sent(k + 1, climb(linked, first, held(base), p, run, (1 - alpha, weighting)))
    return total, [held(loss) for loss in losses]


def climb(
    units: Sequence[Layer], first: int, h: Any, p: Any, run: PassContext, scaled: tuple[float, str] | None = None
) -> Any:
    """The units one after another; with `scaled`, the error that comes back is weighed on its way down."""
    for number, unit in enumerate(units):
        h = _layer(unit, run.at(first + number))(_of(unit, p), h)
        if scaled and (number == len(units) - 1 or scaled[1] == "literal"):
            h = _weighed(h, scaled[0])
    return h


def local_loss(part: Part, h: Any, p: Any, y: Any, run: PassContext) -> Any:
    """L_k = CE(A_k(h_k), y)."""
    assert part.head is not None
    return _loss(_layer(part.head, run.at(part.top))(_of(part.head, p), h), y)


def _of(layer: Layer, p: Any) -> dict[str, Any]:
    return {name: p[name] for name in layer.arrays}


@lru_cache(maxsize=256)
def _layer(layer: Layer, run: PassContext) -> Any:
    """A layer's twin, compiled once and shared by every rule, K, l and α."""
    return jax.jit(lambda p, x: reference(layer, x, p, run))


@jax.jit
def _loss(z: Any, y: Any) -> Any:
    return cross_entropy(z, y)


@jax.jit
def _weighed(h: Any, weight: Any) -> Any:
    """h, whose error comes back times `weight`."""
    return held(h) + jnp.asarray(weight, h.dtype) * (h - held(h))
