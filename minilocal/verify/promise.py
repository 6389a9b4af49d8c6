"""What a rule promises: the gradient of each unit as a sum of plain gradients, one for each module's loss.

    g_u = Σ_m c_um ∂L_m/∂w_u        L_m is the loss of module m, as a number of all weights below it

Nothing of the engine is in it: c follows from the answers of the boundary alone, and L_m from forwards alone.

    s_m = a 1_m + b s_{m+1}      (a, b) = sends(units)      what module m sends down; s_K = 1_K
    c_u = a 1_m + b s_{m+1}      (a, b) = weights(j)        j steps below the top, in a linked unit
    c_u = 1_m                                               in any other
    c_u = 1_s, s = learns_from(m)                           in all units, where the boundary names the loss

Where an objective has two heads L_m is that of the cascade, and K more columns are those of the own heads: 1_m is
1_m + 1_{K+m} then, but in what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minilocal import boundaries
from minilocal.array import to_host
from minilocal.engine import Module
from minilocal.layers import PassContext
from minilocal.layers.module_input import entering, inputs_of
from minilocal.objectives import Batch, TwoHeads
from minilocal.rules import Rule
from minilocal.streams import stream
from minilocal.verify.differences import EPS, ROUNDINGS

DIRECTIONS = 4  # tried for each array; the one with the narrowest bound counts

Arrays = Mapping[str, Any]


def promised(rule: Rule, modules: Sequence[Module], is_global: bool = False) -> np.ndarray:
    """c (units of the network, K): what each loss's plain gradient is multiplied by in each unit.

    It is (units, 2K) for an objective of two heads.
    """
    boundary, last = boundaries.open() if is_global else rule.boundary, len(modules) - 1
    one, whole = _ones(modules)
    if boundary.one_loss:
        return np.array([one[boundary.learns_from(m, last)] for m, module in enumerate(modules) for _ in module.units])
    own = [whole[m] if m == last or (module.objective and not is_global) else None for m, module in enumerate(modules)]
    rows: list[np.ndarray] = []
    sent = whole[last] if is_global else one[last]
    for m in reversed(range(last + 1)):
        units = len(modules[m].units)
        linked = boundary.linked_units(units) if m < last else 0
        for j in range(units):  # from the top
            rows.append(_mixed(own[m], sent, boundary.weights(j)) if j < linked else _whole(own[m], one))
        if m < last:
            a, b = boundary.sends(units)
            e_loc = None if own[m] is None else one[m]
            sent = b * sent if e_loc is None else a * e_loc + b * sent
    return np.array(rows[::-1])


def _mixed(own: np.ndarray | None, above: np.ndarray, weights: tuple[float, float]) -> np.ndarray:
    """a of the own loss and b of what comes from above; where there is no own loss, what comes from above."""
    a, b = weights
    return above if own is None else a * own + b * above


def _whole(own: np.ndarray | None, one: np.ndarray) -> np.ndarray:
    return np.zeros(one.shape[1]) if own is None else own


def parts(objective: Any) -> tuple[Any, ...]:
    """(an objective,) or its two heads: (the one whose error leaves the module, the own one)."""
    return (objective.cascade, objective.own) if isinstance(objective, TwoHeads) else (objective,)


def _ones(modules: Sequence[Module]) -> tuple[np.ndarray, np.ndarray]:
    """For each module, the columns of its loss: (of what may leave it, of all of it)."""
    K, heads = len(modules), max(len(parts(module.objective)) for module in modules)
    one = np.eye(K, heads * K)
    return one, one + np.eye(K, heads * K, K)


def factors(rule: Rule, modules: Sequence[Module], is_global: bool = False) -> dict[str, np.ndarray]:
    """{name of a parameter: c (K,)}: of a unit as promised, of an auxiliary network 1 of its own module's loss."""
    rows, (_, whole) = promised(rule, modules, is_global), _ones(modules)
    named: dict[str, np.ndarray] = {}
    for m, module in enumerate(modules):
        for u, unit in enumerate(module.units, module.first):
            named |= dict.fromkeys(unit.parameters, rows[u])
        if module.objective is not None:
            named |= dict.fromkeys(module.objective.parameters, whole[m])
    return named


def losses(
    modules: Sequence[Module], p: Arrays, batch: Batch, ctx: PassContext, entered: Sequence[PassContext] | None = None
) -> np.ndarray:
    """L_m of each module (K,), by forwards alone; 0 where it has none. (2K,) of two heads.

    What contexts encode is taken from `entered`, the contexts of the modules' passes, where they are given.
    """
    h, values = batch.x, np.zeros(_ones(modules)[0].shape[1])
    for m, module in enumerate(modules):
        ctx = entering(ctx, h, module.first)
        pass_ctx = ctx if entered is None else entered[m]
        for u, unit in enumerate(module.units, module.first):
            h = unit.forward(h, pass_ctx.at(u), p)[0]
        if module.objective is not None:
            for n, part in enumerate(parts(module.objective)):
                values[m + n * len(modules)] = float(part.forward(h, batch, ctx.at(module.top), p)[0])
    return values


def contexts(modules: Sequence[Module], p: Arrays, batch: Batch, ctx: PassContext) -> list[PassContext]:
    """The context of each module's passes at these weights; a forward leaves nothing in it."""
    h, collected = batch.x, list[PassContext]()
    for module in modules:
        ctx = entering(ctx, h, module.first)
        collected.append(replace(ctx, inputs=inputs_of(ctx)._replace(own=None)))
        h = module.forward(h, ctx, p, False, keep=False)[0]
    return collected


def slopes(
    modules: Sequence[Module], p: Arrays, name: str, batch: Batch, ctx: PassContext, passes: bool = False
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(v, D, bound) for some random directions v of one parameter: D (K,) is each loss's slope along v.

    D is a central difference with step h, and its error within |D(2h) - D(h)| plus round-off, as in
    `minilocal.verify.differences`; a kink of a ReLU between the two widens that bound. What contexts encode is held
    constant, unless errors pass through whole modules.
    """
    entered = None if passes else contexts(modules, p, batch, ctx)
    w = to_host(p[name])
    h = EPS ** (1 / 3) * max(1.0, float(np.abs(w).max(initial=0)))
    for number in range(DIRECTIONS):
        v = stream(number, f"direction {name}").standard_normal(w.shape)
        v /= max(1.0, float(np.abs(v).max(initial=0)))

        def at(t: float, v: np.ndarray = v) -> np.ndarray:
            return losses(modules, {**p, name: w + t * v}, batch, ctx, entered)

        sides = [at(h), at(-h), at(2 * h), at(-2 * h)]
        near, far = (sides[0] - sides[1]) / (2 * h), (sides[2] - sides[3]) / (4 * h)
        yield v, near, np.abs(far - near) + ROUNDINGS * EPS / h * np.abs(sides[0])
