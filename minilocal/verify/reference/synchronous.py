"""The reference of every synchronous rule: one number whose plain gradient, under stop-gradients, is its update.

    sg[·] is a constant to the differentiation; c_k are the last l units of module k.

    BP         L_K( f_K(... f_1(x)) )            also PGL's global epochs, with Σ_{k<K} L_k( sg[h_k] ) added
    GLL        Σ_k L_k( f_k(sg[h_{k-1}]) )
    BackLink   Σ_k L_k( c_k(f_k^below(sg[h_{k-1}])) ; c_k constant )        units below the range, and classifiers
             + Σ_k L_k( c_k^α(sg[h_k^below]) ; objective constant )         linked units, their own module's loss
             + Σ_{k<K} D_{k+1}( c_k^{1-α}(sg[h_k^below]) ; all weights above constant )         ... the next module's

Of BackLink, the last two lines are the paper's two branches with shared weights. c^α computes what c does, and
multiplies the error that comes back by α: after its top unit only (unfolded: α once), or after every unit, as (4) and
(5) are printed (literal: α compounds). D_m(h) is the number whose slope at module m's input h is the error that module
m sends down:

    D_m = L_m(f_m(h))                                     own; always so for m = K, or where f_m is longer than c_m
    D_m = L_m(c_m^α(h))                                   own-scaled
    D_m = L_m(c_m^α(h)) + D_{m+1}(c_m^{1-α}(h))           total: δ_lc + δ_gl

Interlocking  Σ_k L_k( sg[h_k] )                                                   auxiliary networks, and the head
            + Σ_k L_m( f_m(... f_k(sg[h_{k-1}])) ; all but w_k constant )          m = min(k + n, K)

Cascade       Σ_k L_k^own( f_k(sg[h_{k-1}]) ) + L_k^cascade( f_k(f_{k-1}(sg[h_{k-2}])) )        of one head: no L_k^own
            without a second head L_k is that of the cascade, and module 1's is L_1( f_1(x) )
ContSup       Σ_k L_k( f_k(sg[h_{k-1}] + E_{k-1}(x) + R_{k-1}(sg[h'_{k-2}])) )           h'_k as in `contexts`

Where errors pass through whole modules (BP), R passes them on too; everywhere else the sources of contexts are
constants.

Of a link this reads the options l, α, weighting and error, of `reach` its n. Its methods (`linked_units`, `weights`,
`sends`, `learns_from`) are what the reference verifies, so they are not called here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from minilocal import boundaries
from minilocal.layers import Layer, PassContext
from minilocal.objectives import TwoHeads
from minilocal.rules import Rule
from minilocal.verify.jax_cpu import jax, jnp, lax
from minilocal.verify.reference.contexts import Sources, constant_sources, enriched, plain
from minilocal.verify.reference.layers import arrays_of, reference
from minilocal.verify.reference.objectives import leaving, objective

Arrays = Mapping[str, Any]
Losses = tuple[Any, list[Any]]  # the rule's one number, and the loss of each module
NO_LOSS = float("nan")

stop_gradient = lax.stop_gradient


def gradients(
    rule: Rule,
    modules: Sequence[Any],
    weights: Arrays,
    buffers: Arrays,
    x: Any,
    y: Any,
    ctx: PassContext,
    is_global: bool = False,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(losses of the modules, {name: gradient of a weight}), the mean over the rule's micro-batches.

    `modules` are those of a Learner: their layers give geometry and names, the numbers are `weights` and `buffers`.
    `is_global` is for epochs of the final loss.
    """
    losses, grads = np.zeros(len(modules)), {name: np.zeros_like(w) for name, w in weights.items()}
    m, N = rule.accumulate, len(x)

    def number(w: Arrays, x: Any, y: Any, ctx: PassContext) -> Losses:
        p = {**buffers, **w}
        if is_global or rule.boundary.provides_error:
            return global_loss(modules, p, x, y, ctx)
        if isinstance(rule.boundary, boundaries.reach):
            return interlocking_losses(modules, p, x, y, ctx, rule.boundary.modules)
        if isinstance(rule.boundary, boundaries.cascade):
            return cascade_losses(modules, p, x, y, ctx)
        return local_losses(modules, p, x, y, ctx, rule.boundary if rule.boundary.uses_input_error else None)

    for part in range(m):
        batch = slice(part * N // m, (part + 1) * N // m)
        arguments = x[batch], y[batch], replace(ctx, part=part)
        (_, values), slopes = jax.value_and_grad(number, has_aux=True)(dict(weights), *arguments)
        losses += np.array([float(value) for value in values]) / m
        grads = {name: g + np.asarray(slopes[name]) / m for name, g in grads.items()}
    return losses, grads


def global_loss(modules: Sequence[Any], p: Arrays, x: Any, y: Any, ctx: PassContext) -> Losses:
    """The last loss for all units; each auxiliary network learns from its own loss, of an input that is a constant."""
    total: Any = 0.0
    h, losses, sources = x, [], Sources(x, None)
    for k, module in enumerate(modules):
        entered = enriched(module.units[0], h, sources, p, ctx.at(module.first))
        h = forward_all(module.units, module.first, h, p, ctx, sources=sources)
        sources = Sources(x, entered)
        if module.objective is None:
            losses.append(NO_LOSS)
            continue
        input = h if k == len(modules) - 1 else stop_gradient(h)
        loss = objective(module.objective, p, input, x, y, ctx.at(module.top))
        total += loss
        losses.append(stop_gradient(loss))
    return total, losses


def local_losses(modules: Sequence[Any], p: Arrays, x: Any, y: Any, ctx: PassContext, link: Any = None) -> Losses:
    """Every module's own loss, boundaries constant; with a link, the two branches of the linked units."""
    constant, total = stop_gradient(p), 0.0
    h, losses, sources = x, [], constant_sources(modules, x, constant, ctx)
    if link is not None:
        local, above = (link.alpha, link.weighting), (1 - link.alpha, link.weighting)

    def loss_of(m: int, h: Any, p: Arrays, heads: Any = None) -> Any:
        return objective(heads or modules[m].objective, p, h, x, y, ctx.at(modules[m].top))

    def linked_units(m: int) -> int:
        units = len(modules[m].units)
        if link is None or m == len(modules) - 1:
            return 0
        return units if link.length == "module" else min(link.length, units)

    def sent(m: int, h: Any) -> Any:  # D_m
        units, first, encoded = modules[m].units, modules[m].first, sources[m]
        if link.error == "own" or linked_units(m) < len(units):
            own = forward_all(units, first, h, constant, ctx, sources=encoded)
            return loss_of(m, own, constant, leaving(modules[m].objective))
        both = forward_all(units, first, h, constant, ctx, local, encoded)
        scaled = loss_of(m, both, constant, leaving(modules[m].objective))
        if link.error == "own-scaled":
            return scaled
        return scaled + sent(m + 1, forward_all(units, first, h, constant, ctx, above, encoded))

    for k, module in enumerate(modules):
        below = len(module.units) - linked_units(k)
        linked, first = module.units[below:], module.first + below
        base = forward_all(module.units[:below], module.first, stop_gradient(h), p, ctx, sources=sources[k])
        h = forward_all(linked, first, base, constant, ctx, sources=sources[k])
        has_loss = module.objective is not None
        loss = loss_of(k, h, p) if has_loss else NO_LOSS
        total += loss if has_loss else 0.0
        losses.append(stop_gradient(loss))
        if linked and has_loss:
            total += loss_of(k, forward_all(linked, first, stop_gradient(base), p, ctx, local, sources[k]), constant)
        if linked:  # all of the error from above where it is the only one
            by = above if has_loss else None
            total += sent(k + 1, forward_all(linked, first, stop_gradient(base), p, ctx, by, sources[k]))
    return total, losses


def interlocking_losses(modules: Sequence[Any], p: Arrays, x: Any, y: Any, ctx: PassContext, n: int) -> Losses:
    """Every module's own loss for its auxiliary network, and the loss n modules up for its units."""
    constant, total = stop_gradient(p), 0.0
    h, losses, sources = x, [], constant_sources(modules, x, constant, ctx)
    for k, module in enumerate(modules):
        input = stop_gradient(h)
        h = forward_all(module.units, module.first, input, constant, ctx, sources=sources[k])
        loss = objective(module.objective, p, h, x, y, ctx.at(module.top))
        total += loss
        losses.append(stop_gradient(loss))
        up = forward_all(module.units, module.first, input, p, ctx, sources=sources[k])
        for m, above in enumerate(modules[k + 1 : k + n + 1], k + 1):
            up = forward_all(above.units, above.first, up, constant, ctx, sources=sources[m])
            module = above
        total += objective(module.objective, constant, up, x, y, ctx.at(module.top))
    return total, losses


def cascade_losses(modules: Sequence[Any], p: Arrays, x: Any, y: Any, ctx: PassContext) -> Losses:
    """Own heads behind one module, cascades behind two, each with all of its weights."""
    total: Any = 0.0
    h, below, losses = x, x, []  # what enters this module, and the one below
    sources = constant_sources(modules, x, stop_gradient(p), ctx)
    for k, module in enumerate(modules):
        one = two = forward_all(module.units, module.first, stop_gradient(h), p, ctx, sources=sources[k])
        if k > 0:
            lower = modules[k - 1]
            two = forward_all(lower.units, lower.first, stop_gradient(below), p, ctx, sources=sources[k - 1])
            two = forward_all(module.units, module.first, two, p, ctx, sources=sources[k])
        loss: Any = NO_LOSS
        if module.objective is not None:
            heads, at = module.objective, (x, y, ctx.at(module.top))
            loss = objective(leaving(heads), p, two, *at)
            if isinstance(heads, TwoHeads):
                loss += objective(heads.own, p, one, *at)
            total += loss
        losses.append(stop_gradient(loss))
        below, h = h, one
    return total, losses


def forward_all(
    units: Sequence[Layer],
    first: int,
    h: Any,
    p: Arrays,
    ctx: PassContext,
    scaled: tuple[float, str] | None = None,
    sources: Sources | None = None,
) -> Any:
    """The units one after another; `scaled` = (a, weighting) multiplies the error that comes back by a.

    `sources` are those of the first unit's contexts, where it has some.
    """
    for number, unit in enumerate(units):
        h = enriched(unit, h, sources, p, ctx.at(first + number))
        h = _compiled(plain(unit), ctx.at(first + number))(arrays_of(plain(unit), p), h)
        if scaled and (number == len(units) - 1 or scaled[1] == "literal"):
            h = _scaled_error(h, scaled[0])
    return h


@lru_cache(maxsize=256)
def _compiled(unit: Layer, ctx: PassContext) -> Any:
    """A unit's reference, compiled once for every rule, K, l and α."""
    return jax.jit(lambda p, x: reference(unit, x, p, ctx))


@jax.jit
def _scaled_error(h: Any, factor: Any) -> Any:
    """h, whose error comes back times `factor`."""
    return stop_gradient(h) + jnp.asarray(factor, h.dtype) * (h - stop_gradient(h))
