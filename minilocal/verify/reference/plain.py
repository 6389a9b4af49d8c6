"""The plain gradient of each module's loss by all weights, by JAX: no stop-gradient, no boundary, no rule.

Only what contexts encode is a constant, unless errors `pass` through them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minilocal.layers import PassContext
from minilocal.verify.jax_cpu import jax
from minilocal.verify.promise import parts
from minilocal.verify.reference.contexts import Sources, constant_sources, enriched
from minilocal.verify.reference.objectives import objective
from minilocal.verify.reference.synchronous import forward_all

Arrays = Mapping[str, Any]


def plain_gradients(
    modules: Sequence[Any],
    weights: Arrays,
    buffers: Arrays,
    x: Any,
    y: Any,
    ctx: PassContext,
    passes: bool = False,
) -> list[dict[str, np.ndarray]]:
    """For each module {name: ∂L_m}; zeros where it has no loss. Of two heads, K more are those of the own ones.

    Raises: NoReference for a layer, an objective or a loss without a reference.
    """

    def loss_of(w: Arrays, m: int, part: Any) -> Any:
        p, h, sources = {**buffers, **w}, x, Sources(x, None)
        for k, module in enumerate(modules[: m + 1]):
            encoded = sources if passes else constants[k]
            sources = Sources(x, enriched(module.units[0], h, encoded, p, ctx.at(module.first)))
            h = forward_all(module.units, module.first, h, p, ctx, sources=encoded)
        return objective(part, p, h, x, y, ctx.at(modules[m].top))

    constants = constant_sources(modules, x, {**buffers, **weights}, ctx)
    heads = [parts(module.objective) for module in modules]
    columns = [[each[n] if n < len(each) else None for each in heads] for n in range(max(map(len, heads)))]
    return [
        {name: np.zeros_like(w) for name, w in weights.items()}
        if part is None
        else {n: np.asarray(g) for n, g in jax.grad(loss_of)(dict(weights), m, part).items()}
        for column in columns
        for m, part in enumerate(column)
    ]
