"""The twin of any rule without delays, by its answers: one number whose plain gradient is what the rule teaches.

    sg[·] is a constant to whoever differentiates.

    local epochs, nothing crosses    Σ_k L_k( f_k(sg[h_{k-1}]) )
    local epochs, links              Σ_k L_k( c_k(f_k^below(sg[h_{k-1}])) ; c_k constant )
                                   + Σ_k L_k( c_k^α(sg[h_k^below]) ; objective constant )
                                   + Σ_{k<K} D_{k+1}( c_k^{1-α}(sg[h_k^below]) ; all weights above constant )
    global epochs                    L_K( f_K(... f_1(x)) ) + Σ_{k<K} L_k( sg[h_k] )

c_k are the last l units of module k, and D_m is what module m sends down, as in `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minilocal.layers import PassContext
from minilocal.verify.reference.objectives import objective
from minilocal.verify.reference.rules import climb, gradients, held

Number = tuple[Any, list[Any]]  # (the rule's one number, the modules' losses)


def local(learner: Any, p: Mapping[str, Any], x: Any, y: Any, run: PassContext) -> Number:
    """Every module learns from its own loss; linked units also from the next module's."""
    boundary, modules, h, losses, total = learner.rule.boundary, learner.modules, x, [], 0.0

    def local_loss(k: int, h: Any, p: Any) -> Any:
        return objective(modules[k].objective, p, h, x, y, run.at(modules[k].top))

    def linked_units(m: int) -> int:
        length, units = getattr(boundary, "length", 0), len(modules[m].units)
        return 0 if m == len(modules) - 1 else units if length == "module" else min(length, units)

    def sent(m: int, h: Any) -> Any:  # D_m
        units, first, error = modules[m].units, modules[m].first, getattr(boundary, "error", "own")
        if error == "own" or linked_units(m) < len(units):
            return local_loss(m, climb(units, first, h, held(p), run), held(p))
        near, far = ((weight, boundary.weighting) for weight in (boundary.alpha, 1 - boundary.alpha))
        scaled = local_loss(m, climb(units, first, h, held(p), run, near), held(p))
        return scaled + sent(m + 1, climb(units, first, h, held(p), run, far)) if error == "total" else scaled

    for k, module in enumerate(modules):
        linked = linked_units(k)
        under, first = len(module.units) - linked, module.first + len(module.units) - linked
        base = climb(module.units[:under], module.first, held(h), p, run)
        h = climb(module.units[under:], first, base, held(p), run)
        losses.append(local_loss(k, h, p))
        total += losses[-1]
        if linked:
            branches = [
                climb(module.units[under:], first, held(base), p, run, (weight, boundary.weighting))
                for weight in (boundary.alpha, 1 - boundary.alpha)
            ]
            total += local_loss(k, branches[0], held(p)) + sent(k + 1, branches[1])
    return total, [held(loss) for loss in losses]


def guided(learner: Any, p: Mapping[str, Any], x: Any, y: Any, run: PassContext) -> Number:
    """All main weights learn from the last loss; each auxiliary network learns from its own, its input a constant."""
    h, losses = x, []
    for k, module in enumerate(learner.modules):
        h = climb(module.units, module.first, h, p, run)
        seen = h if k == len(learner.modules) - 1 else held(h)
        losses.append(objective(module.objective, p, seen, x, y, run.at(module.top)))
    return sum(losses), [held(loss) for loss in losses]


def by_autograd(learner: Any, x: Any, y: Any, is_global: bool = False) -> tuple[list[Any], dict[str, Any]]:
    """(losses, gradients) of the Learner's rule at its present weights; `is_global` for epochs of the final loss."""
    p = {**learner.parameters(), **learner.buffers()}
    p = {name: a.astype(x.dtype) for name, a in p.items()}
    run, number = PassContext(key=learner.key, epoch=learner.epoch), guided if is_global else local
    return gradients(lambda p: number(learner, p, x, y, run), p, list(learner.parameters()))
