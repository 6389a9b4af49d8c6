"""The reference of DNI: one number whose plain gradient, under stop-gradients, is the rule's update.

L_K( f_K(sg[h_{K-1}]) )                                                                    module K
+ Σ_{k<K} ⟨ f_k(sg[h_{k-1}]), sg[ê_k] ⟩                ê_k = Φ_k(sg[h_k], y)               module k
+ Σ_{k<K} 1/B Σ_b ‖ Φ_k(sg[h_k], y)_b - sg[t_k]_b ‖²    t_k = ∂(term of k+1)/∂h_k           synthesiser k

ê_k is module k's synthetic gradient, t_k the target of its synthesiser Φ_k.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.layers import PassContext
from minilocal.verify.jax_cpu import jax, jnp, lax
from minilocal.verify.reference.layers import reference
from minilocal.verify.reference.losses import cross_entropy

stop_gradient = lax.stop_gradient


def synthesise(synthesiser: Any, h: Any, p: Any, y: Any, ctx: PassContext) -> Any:
    """s = Φ(h, y): the first layer, the label's contribution to every pixel, the other layers."""
    z = reference(synthesiser.first, h, p, ctx)
    if synthesiser.label is not None:
        of_label = p[f"{synthesiser.label.name}.weight"][y] + p[f"{synthesiser.label.name}.bias"]
        z = z + jnp.reshape(of_label, (len(y), *(1,) * (z.ndim - 2), -1))
    return reference(synthesiser.rest, z, p, ctx)


def dni(modules: Sequence[Any], p: Any, x: Any, y: Any, ctx: PassContext) -> tuple[Any, list[Any]]:
    """(the number, the modules' losses) of a Learner's `modules`."""

    def term(k: int, h: Any) -> tuple[Any, Any]:
        """(module k's term of the number, h_k), from its input."""
        m = modules[k]
        for number, unit in enumerate(m.units):
            h = reference(unit, h, p, ctx.at(m.first + number))
        if m.synthesiser is None:
            return cross_entropy(reference(m.objective.network, h, p, ctx.at(m.top)), y), h
        s = synthesise(m.synthesiser, stop_gradient(h), p, y, ctx.at(m.top))
        return jnp.sum(h * stop_gradient(s / len(y) if m.synthesiser.scaled else s)), h

    total, h = 0.0, x
    for k, m in enumerate(modules):
        own, out = term(k, stop_gradient(h))
        total = total + own
        if m.synthesiser is not None:
            t = jax.grad(lambda a, k=k: term(k + 1, a)[0])(stop_gradient(out))
            s = synthesise(m.synthesiser, stop_gradient(out), p, y, ctx.at(m.top))
            total = total + jnp.sum((s - stop_gradient(t * len(y) if m.synthesiser.scaled else t)) ** 2) / len(y)
        h = out
    return total, [float("nan")] * (len(modules) - 1) + [stop_gradient(own)]
