"""The twin of DNI: one number whose plain gradient, under stop-gradients, is what the rule teaches.

L_K( f_K(sg[h_{K-1}]) )                                                            module K
+ Σ_{k<K} ⟨ f_k(sg[h_{k-1}]), sg[ê_k] ⟩                ê_k = Φ_k(sg[h_k], y)       module k hears its guess
+ Σ_{k<K} 1/B Σ_b ‖ Φ_k(sg[h_k], y)_b - sg[t_k]_b ‖²    t_k = ∂(term of k+1)/∂h_k       Φ_k aims at t
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minilocal.layers import PassContext
from minilocal.verify.jax_cpu import jax, jnp, lax
from minilocal.verify.reference.layers import reference
from minilocal.verify.reference.losses import cross_entropy

held = lax.stop_gradient


def synthesise(synthesiser: Any, h: Any, p: Any, y: Any, run: PassContext) -> Any:
    """s = Φ(h, y): the first layer, the label's share in every pixel, the rest."""
    z = reference(synthesiser.first, h, p, run)
    if synthesiser.label is not None:
        share = p[f"{synthesiser.label.name}.weight"][y] + p[f"{synthesiser.label.name}.bias"]
        z = z + jnp.reshape(share, (len(y), *(1,) * (z.ndim - 2), -1))
    return reference(synthesiser.rest, z, p, run)


def dni(modules: Sequence[Any], p: Any, x: Any, y: Any, run: PassContext) -> tuple[Any, list[Any]]:
    """(the number, the modules' losses) of a Learner's `modules`."""

    def term(k: int, h: Any) -> tuple[Any, Any]:
        """What module k wants of its output, as a function of its input, and that output."""
        m = modules[k]
        for number, unit in enumerate(m.units):
            h = reference(unit, h, p, run.at(m.first + number))
        if m.synthesiser is None:
            return cross_entropy(reference(m.objective.network, h, p, run.at(m.top)), y), h
        s = synthesise(m.synthesiser, held(h), p, y, run.at(m.top))
        return jnp.sum(h * held(s / len(y) if m.synthesiser.scaled else s)), h

    total, h = 0.0, x
    for k, m in enumerate(modules):
        mine, out = term(k, held(h))
        total = total + mine
        if m.synthesiser is not None:
            t = jax.grad(lambda a, k=k: term(k + 1, a)[0])(held(out))
            s = synthesise(m.synthesiser, held(out), p, y, run.at(m.top))
            total = total + jnp.sum((s - held(t * len(y) if m.synthesiser.scaled else t)) ** 2) / len(y)
        h = out
    return total, [float("nan")] * (len(modules) - 1) + [held(mine)]
